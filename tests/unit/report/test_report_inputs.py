"""What the report is told by the workflow comes back as what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from txm2sem_core.config import Runs, load_config
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.report import parse_samples
from txm2sem_core.report.inputs import report_tables, samples_text, settings_text
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


def test_pairs_without_a_volume() -> None:
    (sample,) = parse_samples(samples_text([files_of({"source": "pairs", "txm": "t", "sem": "s"})], STYLE))
    assert (sample.volumes, sample.txm_volume, sample.truth) == ([], None, None)
    assert "volumes.csv" not in sample.tables


def test_the_settings_are_told_without_how_it_ran_or_looks() -> None:
    config = load_config({"variants": VARIANTS, "device": "cpu", "title": "Größe"})
    shown = yaml.safe_load(settings_text(config, {"a": config}))
    assert shown["title"] == "Größe"
    assert "register" in shown
    assert not {"device", "tensorboard", "tiff_volumes", "figures"} & shown.keys()


@pytest.mark.parametrize(("contexts", "told"), [((1, 1), True), ((0, 1), False)])
def test_a_context_is_told_where_all_samples_have_it(contexts: tuple[int, int], told: bool) -> None:
    own = {
        str(number): load_config({"variants": VARIANTS, "patches": {"context": context}})
        for number, context in enumerate(contexts)
    }
    shown = yaml.safe_load(settings_text(own["0"], own))
    assert ("context" in shown["patches"]) == told
