"""Pages of the site that stand elsewhere in the repository, or are made of the code; and links that fit both places."""

from __future__ import annotations

import os.path
import posixpath
import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).parents[2]
# Where a file of the repository stands in the site.
PAGES = {
    "README.md": "index.md",
    "config/README.md": "reference/settings.md",
    "results/README.md": "reference/results.md",
    "benchmarks/README.md": "evidence/running-the-benchmarks.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CHANGELOG.md": "project/changelog.md",
    "SECURITY.md": "project/security.md",
}
SOURCES = {page: source for source, page in PAGES.items()}
COMMANDS = "reference/command-line.md"
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)\s]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that do not stand in `docs/`."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(REPOSITORY / source).read_text()))
    files.append(File.generated(config, COMMANDS, content=command_line()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links between files of the repository into links between pages; of what is no page, the words remain."""
    here = page.file.src_uri
    source = SOURCES.get(here, f"docs/{here}")

    def linked(found: re.Match[str]) -> str:
        picture, text, target = found.groups()
        if re.match(r"\w+:|#", target):
            return found[0]
        path, mark, anchor = target.partition("#")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        place = PAGES.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
        if place is None or not (picture or place.endswith(".md")):
            return text
        relative = os.path.relpath(place, posixpath.dirname(here) or ".")
        return f"{picture}[{text}]({relative}{mark}{anchor})"

    return _LINK.sub(linked, markdown)


def command_line() -> str:
    """Every command of `txm2sem` with its options, as `--help` says them."""
    from txm2sem_core.cli import app

    group: Any = typer.main.get_command(app)
    lines = ["# Command line", "", "`txm2sem COMMAND --help` says the same in a terminal.", ""]
    for name, command in sorted(group.commands.items()):
        context = command.context_class(command, info_name=f"txm2sem {name}")
        lines += [f"## txm2sem {name}", "", " ".join((command.help or "").split("\f")[0].split()), ""]
        lines += ["| option | meaning |", "|---|---|"]
        for parameter in command.params:
            record = parameter.get_help_record(context)
            if record is not None:
                lines.append("| `{}` | {} |".format(*(" ".join(cell.split()).replace("|", "\\|") for cell in record)))
        lines.append("")
    return "\n".join(lines)
