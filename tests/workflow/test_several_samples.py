"""A run of two samples: a page of the report for each, and an index of them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from conftest import TINY, Workflow

from txm2sem_core import io
from txm2sem_core.commands.compare import compare_results

ROWS = "sample\tsource\nfirst\tphantom\nsecond\tphantom\n"
BASELINE: dict[str, Any] = {
    **copy.deepcopy(TINY),
    "phantom": {**TINY["phantom"], "shape": [12, 96, 96]},
    "variants": {"pointwise": TINY["variants"]["pointwise"]},
}


def test_two_samples_have_a_page_each_and_an_index(tmp_path: Path) -> None:
    workflow = Workflow.create(tmp_path / "run", BASELINE, ROWS)
    result = workflow.run()
    assert result.returncode == 0, result.stdout
    results = workflow.folder / "results"
    index = (results / "report.html").read_text()
    for name in ("first", "second"):
        assert f'href="{name}/report.html"' in index
        page = (results / name / "report.html").read_text()
        assert 'href="../report.html"' in page
        assert 'href="volumes/pointwise/seed0/sem.ome.zarr/"' in page
        assert f"<h1>{name} " in page
    pages = io.read_json(results / "report.digest")["pages"]
    assert pages == {
        f"results/{n}/report.html": io.sha256_file(results / n / "report.html") for n in ("first", "second")
    }
    assert workflow.planned() == set()
    assert not [each.name for each in compare_results(results, results) if each.name.endswith(".html")]
    (results / "second/report.html").unlink()  # a page that is lost is made again, with the index
    assert workflow.planned() == {"write_report", "write_provenance"}
