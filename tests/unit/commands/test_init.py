"""A project of one's own: what is made, for each kind of data, and that nothing of the user's is touched."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from txm2sem_core.commands.init import KINDS, make_project, workflow_folder
from txm2sem_core.config import load_config
from txm2sem_core.config.tables import json_schema
from txm2sem_core.errors import InputError
from txm2sem_core.samples import read_samples

FILES = {
    *("Snakefile", "README.md", ".gitignore", "config/config.yaml", "config/samples.tsv", "config/figures.yaml"),
    *("config/schema.json", "profiles/default/config.yaml", "profiles/slurm/config.yaml"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_made_can_be_read(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_project(tmp_path / "my-rock", kind)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path / "my-rock")
    assert {file.as_posix() for file in Path().rglob("*") if file.is_file()} == FILES
    values = yaml.safe_load(Path("config/config.yaml").read_text())
    config = load_config(values)
    jsonschema.validate(values, json_schema())
    assert Path(config.samples).is_file()
    assert Path(config.figures).is_file()
    (sample,) = read_samples(config.samples).values()
    expected = {"volume": "pairs", "pairs": "pairs", "reference": "reference", "demo": "phantom"}
    assert sample.source == expected[kind]
    assert (sample.txm_volume is not None) == (kind == "volume")
    assert Path("README.md").read_text().startswith("# my-rock\n")


def test_an_empty_folder_is_filled_and_one_that_is_not_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make_project(tmp_path / "empty", "pairs")
    assert (tmp_path / "empty/Snakefile").is_file()
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="full: this folder is not empty"):
        make_project(tmp_path / "full", "pairs")
    assert [file.name for file in (tmp_path / "full").iterdir()] == ["thesis.txt"]
    assert {entry.name for entry in tmp_path.iterdir()} == {"empty", "full"}


def test_where_nothing_can_be_made_the_message_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "file/project", Path("/proc/project")):
        with pytest.raises(InputError, match=r"(Choose|Name) (another|a new one)"):
            make_project(place, "pairs")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_in_a_clone_the_workflow_is_that_of_the_clone() -> None:
    assert workflow_folder() == Path(__file__).resolve().parents[3]
