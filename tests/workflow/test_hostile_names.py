"""The tiny pipeline where every name that a user chooses holds spaces, quotes, accents and commands for a shell.

The same run shows that raw files are never written, and that the record of its provenance is whole and reruns nothing.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shlex
import shutil
import string
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Workflow

from txm2sem_core import io as images
from txm2sem_core.config import PhantomSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.phantom import make_phantom
from txm2sem_core.samples.preflight import check_file
from txm2sem_core.samples.table import read_samples

RAW = 'raw d\'été "x" $(touch pwned) `touch pwned`; touch pwned {2023} {sample} <new> *[a]? a,b %s #1 \\ !x'
RESULTS = 'résultats de l\'été "q" $(touch pwned) & x'
TITLE = "<script>alert(1)</script> {sample} {wildcards.sample} $(touch pwned)"
COLUMNS = ("txm", "sem", "charge", "txm_volume")
SETTINGS: dict[str, Any] = {
    **TINY,
    "results_dir": RESULTS,
    "title": TITLE,
    "seeds": [0, 1],
    "register": {"min_similarity": 0.01},
    "predict": {"uncertainty": {"ensemble": True}},
    "variants": {
        "net": {"family": "feedforward", "generator": {"name": "resnet_1blocks"}, "z_penalty": {"stack": 0.01}}
    },
}


def state(folder: Path) -> dict[str, tuple[str, int]]:
    """Content and time of change of every file."""
    return {
        str(file.relative_to(folder)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def sample_table(raw: Path) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\r\n")  # as a spreadsheet on Windows writes it
    writer.writerow(["sample", "source", *COLUMNS, "pair_z"])
    writer.writerow(["own", "pairs", *(str(raw / column) for column in COLUMNS), "1:16:3"])
    return "\ufeff" + stream.getvalue()


PLAIN = {"net": {"family": "feedforward", "generator": {"name": "resnet_1blocks"}}}
# every sign that a name may hold, alone at each place, and what a shell, Snakemake or a wildcard would make of some
SIGNS = [f"{sign}a{sign}b{sign}" for sign in string.punctuation if sign != "/"]
WORDS = [
    "{sample}",
    "{a}{{b}}",
    "<results>",
    "<x>",
    "a b",
    "$(id)",
    "$HOME",
    "${HOME}",
    "$1",
    "-rf",
    "..a",
    "é µ 岩",
    "*",
    "%s",
    "a=b",
]


def test_what_the_check_lets_pass_can_be_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All names at once, one a column: each is either refused by our message, or every rule takes it."""
    folder = tmp_path / "run"
    workflow = Workflow.create(folder, {**SETTINGS, "samples": "all.tsv", "variants": PLAIN})
    monkeypatch.chdir(folder)
    passed, refused = [], []
    for name in [*SIGNS, *WORDS]:
        write_table(folder / "one.tsv", [name, "sem", "volume"])
        try:
            read_samples("one.tsv")
        except ConfigError:
            refused.append(name)
        else:
            passed.append(name)
            for z in range(3):
                images.write_tiff(
                    folder / name / f"x{name} {z:03d}.tif",
                    np.eye(64, dtype=np.uint8) + np.arange(64, dtype=np.uint8),
                    (9, 9, 9),
                )
    assert refused == ["$a$b$", "~a~b~", "$HOME", "${HOME}"]
    write_table(folder / "all.tsv", *(passed[first : first + 3] for first in range(0, len(passed) - 2, 3)))
    check_file(folder / "config.yaml")
    results = SETTINGS["results_dir"]
    jobs = workflow.planned(*(f"{results}/s{number}/patches/store.json" for number in range(len(passed) // 3)))
    assert len(jobs) == 2 * (len(passed) // 3)


def write_table(path: Path, *rows: list[str]) -> None:
    """Samples s0, s1, ... with three pairs and a volume in the folders of each row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(["sample", "source", "txm", "sem", "txm_volume", "pair_z"])
        writer.writerows([f"s{number}", "pairs", *row, "0,1,2"] for number, row in enumerate(rows))


@pytest.mark.slow  # some forty jobs that each start Python
def test_the_pipeline_with_names_that_are_commands(tmp_path: Path) -> None:
    raw = tmp_path / RAW
    phantom = PhantomSettings.model_validate(TINY["phantom"])
    made = tmp_path / "made"
    make_phantom(phantom, made)
    for column in COLUMNS:
        shutil.copytree(made / column, raw / column)
    for place in [raw, *raw.rglob("*")]:
        place.chmod(0o555 if place.is_dir() else 0o444)
    before = state(raw)
    workflow = Workflow.create(tmp_path / "run", SETTINGS, sample_table(raw))
    try:
        result = workflow.run()
        assert result.returncode == 0, result.stdout
        assert state(raw) == before  # root may write in spite of the rights, so content and times are compared
        assert workflow.planned() == set()
    finally:
        for place in [raw, *raw.rglob("*")]:
            place.chmod(0o755)
    assert not list(tmp_path.rglob("pwned*"))
    results = workflow.folder / RESULTS
    assert "<script>alert" not in (results / "report.html").read_text()
    check_record(json.loads((results / "provenance.json").read_text()), results, raw)
    check_crate(results)


def check_record(record: dict[str, Any], results: Path, raw: Path) -> None:
    assert record["config"]["seeds"] == [0, 1]
    assert set(record["samples"]["own"]["inputs"]) == set(COLUMNS)
    assert [model["path"] for model in record["models"]] == ["own/models/net/seed0", "own/models/net/seed1"]
    assert {model["made_with"]["device"] for model in record["models"]} == {"cpu"}
    assert [volume["path"] for volume in record["volumes"]] == [
        f"own/volumes/net/{run}/sem.ome.zarr" for run in ("seed0", "seed1", "ensemble")
    ]
    for model in record["models"]:
        weights = (results / model["path"] / "generator.safetensors").read_bytes()
        assert model["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    for name, digest in record["tables"].items():
        assert hashlib.sha256((results / name).read_bytes()).hexdigest() == digest
    named = {job["job"] for job in record["jobs"]}
    assert {"own/register_pairs", "own/train_model/net_seed0", "write_report"} <= named
    assert all(job["started"] <= job["ended"] for job in record["jobs"])


def check_crate(results: Path) -> None:
    """What the metadata name is there; and the validator's word, where one is at hand.

    `TXM2SEM_CRATE_VALIDATOR` is its command, as `rocrate-validator -y validate --offline --cache-path FILE`.
    """
    graph = {entity["@id"]: entity for entity in json.loads((results / "ro-crate-metadata.json").read_text())["@graph"]}
    assert {"@id": "https://w3id.org/ro/wfrun/workflow/0.5"} in graph["./"]["conformsTo"]
    assert graph["#run"]["instrument"] == graph["./"]["mainEntity"] == {"@id": "crate/Snakefile"}
    made = {entity["@id"] for entity in graph["#run"]["result"]}
    assert {"report.html", "provenance.json", "own/models/net/seed1/model.json", "own/metrics/summary.csv"} <= made
    for entity in graph.values():
        if "File" in entity["@type"]:
            assert (results / entity["@id"]).is_file()
    command = os.environ.get("TXM2SEM_CRATE_VALIDATOR")
    if command:
        words = [*shlex.split(command), "--no-paging", "--verbose", str(results)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
