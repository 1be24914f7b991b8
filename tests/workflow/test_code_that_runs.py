"""What really runs in the jobs of the pipeline is part of the code that their rules state."""

from __future__ import annotations

from collections import defaultdict

from conftest import Workflow
from workflow_rules import files_of

from txm2sem_core.provenance import code


def test_every_function_that_ran_is_of_the_stated_code(finished: Workflow) -> None:
    ran: dict[str, set[str]] = defaultdict(set)
    for trace in (finished.folder / "trace").iterdir():
        ran[trace.stem].update(trace.read_text().split())
    assert {
        "cli:train",
        "cli:predict",
        "make_phantom",
        "register_pairs",
        "measure_volume",
        "figures.montage:montage_figure",
    } <= ran.keys()
    assert len(ran["cli:train"]) > 20
    for entry, files in ran.items():
        parts = code.code_parts(*((entry,) if entry.startswith("cli:") else files_of(entry)))
        names = {file if file.endswith(".j2") else module_of(file) for file in files}
        assert names - parts.keys() - code.INFRASTRUCTURE.keys() == set(), entry


def module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
