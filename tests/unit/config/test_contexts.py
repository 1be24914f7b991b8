"""`context: auto` is each sample's own; what changes the patches that variants share is said before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from txm2sem_core import io
from txm2sem_core.samples.preflight import Checked, check_run

NET = {"family": "feedforward", "generator": {"name": "linearfilt"}}
BASELINE = {"family": "baseline", "generator": {"name": "pointwise"}}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with raw images: pairs at every third slice of a volume."""
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 255, (24, 64, 64), dtype=np.uint8)
    for z in range(0, 24, 3):
        io.write_tiff(tmp_path / f"txm/{z:03d}.tif", images[z])
        io.write_tiff(tmp_path / f"sem/{z:03d}.tif", images[z])
    io.write_tiff(tmp_path / "volume.tif", images)
    (tmp_path / "figures.yaml").write_text("common: {dpi: 50}\n")
    return tmp_path


PLACED = "placed\tpairs\ttxm\tsem\tvolume.tif\t0:24:3\t32,32,32"
UNPLACED = "unplaced\tpairs\ttxm\tsem\t\t\t"


def checked(project: Path, *rows: str, variants: dict[str, Any] | None = None, **patches: Any) -> Checked:
    header = "sample\tsource\ttxm\tsem\ttxm_volume\tpair_z\tvoxel_size_nm"
    (project / "s.tsv").write_text("\n".join([header, *rows]) + "\n")
    values = {"samples": "s.tsv", "figures": "figures.yaml", "variants": variants or {"net": NET, "base": BASELINE}}
    text = yaml.safe_dump({**values, "patches": {"size_px": 32, **patches}})
    return check_run(yaml.safe_load(text))


def test_another_sample_leaves_the_context_of_the_first_as_it_was(project: Path) -> None:
    alone = checked(project, PLACED).of_sample["placed"]
    both = checked(project, PLACED, UNPLACED).of_sample
    assert alone.variant("net").context == 1
    for name in ("net", "base"):
        assert both["placed"].variant(name) == alone.variant(name)
    assert both["placed"].patches == alone.patches
    assert (both["unplaced"].variant("net").context, both["unplaced"].patches.context) == (0, 0)


def made(project: Path, context: int) -> None:
    io.write_json(project / "results/placed/patches/store.json", {"context": context})


def test_a_variant_that_changes_the_patches_of_all_is_named_and_the_remedy_works(project: Path) -> None:
    made(project, 0)
    variants = {"first": {**NET, "context": 0}, "wide": {**NET, "context": 1}}
    (said,) = checked(project, PLACED, variants=variants).warnings
    assert "variants.wide" in said
    assert "context" in said
    variants["wide"]["context"] = 0
    assert not checked(project, PLACED, variants=variants).warnings


def test_without_the_widest_variant_the_patches_can_be_kept(project: Path) -> None:
    made(project, 1)
    (said,) = checked(project, PLACED, variants={"first": {**NET, "context": 0}}).warnings
    assert "set patches.context to 1" in said
    kept = checked(project, PLACED, variants={"first": {**NET, "context": 0}}, context=1)
    assert not kept.warnings
    assert kept.of_sample["placed"].patches.context == 1


def test_nothing_is_said_where_the_patches_stay(project: Path) -> None:
    assert not checked(project, PLACED).warnings
    made(project, 1)
    assert not checked(project, PLACED).warnings
