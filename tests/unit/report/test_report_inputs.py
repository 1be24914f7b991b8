"""What the workflow passes to the report is what the report shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from txm2sem_core.config import Runs, load_config
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.report import parse_samples
from txm2sem_core.report.inputs import report_pages, report_tables, samples_text, settings_text
from txm2sem_core.report.volumes import Source
from txm2sem_core.samples.files import SampleFiles
from txm2sem_core.samples.table import Sample

VARIANTS: dict[str, Any] = {
    "map": {"family": "baseline", "generator": {"name": "pointwise"}},
    "net_a": {"family": "feedforward", "generator": {"name": "unet_32"}},
    "gone": {"family": "feedforward", "generator": {"name": "unet_32"}},
}
STYLE = FigureSettings()
ENSEMBLE = {"seeds": [0, 1], "leave_out": ["gone"], "predict": {"uncertainty": {"ensemble": True}}}


def files_of(row: dict[str, Any], **changes: Any) -> SampleFiles:
    config = load_config({"variants": VARIANTS, **changes})
    return SampleFiles(Sample(sample="a", **row), config, Runs(config))


def test_a_phantom_with_an_ensemble() -> None:
    here = files_of({"source": "phantom"}, **ENSEMBLE)
    (sample,) = parse_samples(samples_text([here], STYLE))
    assert (sample.name, sample.source, sample.folder) == ("a", "phantom", Path("results/a"))
    assert [volume["variant"] for volume in sample.volumes] == ["map", "net_a", "net_a_ensemble"]
    assert sample.volumes[2]["path"] == "results/a/volumes/net_a/ensemble/sem.ome.zarr"
    assert sample.truth == Path("results/a/raw/truth/sem.tif")
    assert sample.txm_volume == Source("TXM", "txm", Path("results/a/raw/txm_volume"))
    assert sample.left_out == ["gone"]
    figures = {str(figure["path"]): figure["title"] for figure in sample.figures}
    assert figures["results/a/figures/uncertainty/net_a/ensemble.png"] == "Uncertainty: net a ensemble"
    assert [f"results/a/metrics/{name}" for name in sample.tables] == report_tables(here)
    assert "uncertainty.csv" in sample.tables
    assert not any(name.endswith((".md", ".tex")) for name in sample.tables)


def test_the_pages_are_known_from_the_samples() -> None:
    config = load_config({"variants": VARIANTS})
    samples = [SampleFiles(Sample(sample=name, source="phantom"), config, Runs(config)) for name in ("a", "b")]
    assert report_pages(config, samples[:1]) == []  # of one sample the report is the page
    assert report_pages(config, samples) == ["results/a/report.html", "results/b/report.html"]


def test_pairs_without_a_volume() -> None:
    (sample,) = parse_samples(samples_text([files_of({"source": "pairs", "txm": "t", "sem": "s"})], STYLE))
    assert (sample.volumes, sample.txm_volume, sample.truth) == ([], None, None)
    assert "volumes.csv" not in sample.tables


def test_the_settings_are_shown_without_how_it_ran_or_looks() -> None:
    config = load_config({"variants": VARIANTS, "device": "cpu", "title": "Größe"})
    shown = yaml.safe_load(settings_text(config, {"a": config}))
    assert shown["title"] == "Größe"
    assert "register" in shown
    assert not {"device", "tensorboard", "tiff_volumes", "figures"} & shown.keys()
    assert "jobs" in shown["predict"]
    assert "keep" not in shown["predict"]


@pytest.mark.parametrize(("contexts", "included"), [((1, 1), True), ((0, 1), False)])
def test_a_context_is_shown_where_all_samples_have_it(contexts: tuple[int, int], included: bool) -> None:
    own = {
        str(number): load_config({"variants": VARIANTS, "patches": {"context": context}})
        for number, context in enumerate(contexts)
    }
    shown = yaml.safe_load(settings_text(own["0"], own))
    assert ("context" in shown["patches"]) == included
