"""`txm2sem init`: a project folder of the user's own, which runs the workflow as it is installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from txm2sem_core.commands.options import Kind
from txm2sem_core.errors import InputError
from txm2sem_core.io.atomic import explain_write_errors, make_parent

KINDS = get_args(Kind)

SNAKEFILE = """\
# Runs TXM2SEM's workflow as it is installed. Made by `txm2sem init`; an update of the package changes nothing here.
from txm2sem_core.commands.init import workflow_folder


include: str(workflow_folder() / "Snakefile")


# what `snakemake` makes without a target
rule everything:
    default_target: True
    localrule: True
    input:
        rules.all.input,
"""
README = """\
# {title}

A project of TXM2SEM. What it needs: an environment with `txm2sem[workflow]`, and your data.

1. {first}
2. Edit `config/config.yaml`; editors that know YAML complete its keys. Before anything runs, this tells what cannot
   work:

   ```
   txm2sem check --config config/config.yaml
   ```
3. Look at the plan, then run it:

   ```
   snakemake -n --cores 8 --resources gpu=1
   snakemake --cores 8 --resources gpu=1
   ```

   On a SLURM cluster: edit the top of `profiles/slurm/config.yaml`, then `snakemake --workflow-profile profiles/slurm`.
4. Open `results/report.html`.

The same command goes on where it was stopped. For other figures edit `config/figures.yaml`, then run
`snakemake --cores 2 figures`.
"""
_FIRST = "Write a row for each sample into `config/samples.tsv` (paths are relative to this folder)."
_FIRST_OF_DEMO = "Nothing is to be filled in: the demo makes its own rock."
_IGNORED = "results/\n.snakemake/\n"


def workflow_folder() -> Path:
    """The folder with `Snakefile`, `workflow/` and `config/`: within the installed package, or the clone around it.

    Raises:
        InputError: the package lies alone, without its workflow.
    """
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "project", package.parent):
        if (folder / "Snakefile").is_file() and (folder / "workflow/rules").is_dir():
            return folder
    raise InputError(f"{package}: the workflow does not lie here. Install txm2sem again, from its clone or its wheel.")


def make_project(folder: str | Path, kind: Kind) -> None:
    """Make a folder with configuration, sample table, profiles, a Snakefile of a few lines, and a README.

    Args:
        folder: new, or empty.
        kind: what data it begins with.

    Raises:
        InputError: something stands there already, or the workflow is not installed.
    """
    folder, source = Path(folder), workflow_folder()
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: this folder is not empty. Name a new one; nothing of yours is changed.")
    title = folder.resolve().name
    with _new_folder(folder) as made:
        (made / "config").mkdir()
        _write_config(made / "config", source / "config", kind)
        shutil.copytree(source / "profiles", made / "profiles")
        first = _FIRST_OF_DEMO if kind == "demo" else _FIRST
        files = {"Snakefile": SNAKEFILE, "README.md": README.format(title=title, first=first), ".gitignore": _IGNORED}
        for name, text in files.items():
            (made / name).write_text(text, encoding="utf-8")


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder beside that becomes `folder` if the block succeeds; it bears no mark of ours, since it is the user's."""
    make_parent(folder)
    made = folder.parent / f".{folder.name}.{os.getpid()}"
    try:
        with explain_write_errors(folder):
            made.mkdir()
            yield made
            os.replace(made, folder)
    except OSError as error:
        raise InputError(f"{folder}: this folder cannot be made ({error.strerror}). Choose another.") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _write_config(config: Path, source: Path, kind: Kind) -> None:
    if kind == "demo":
        text = (
            (source / "demo.yaml").read_text(encoding="utf-8").replace("config/demo-samples.tsv", "config/samples.tsv")
        )
        table = source / "demo-samples.tsv"
    else:
        text, table = (source / f"projects/{kind}.yaml").read_text(encoding="utf-8"), source / f"projects/{kind}.tsv"
    (config / "config.yaml").write_text(text, encoding="utf-8")
    shutil.copyfile(table, config / "samples.tsv")
    for name in ("figures.yaml", "schema.json"):
        shutil.copyfile(source / name, config / name)
