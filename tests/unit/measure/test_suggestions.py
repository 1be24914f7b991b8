"""`txm2sem suggest` on results with a planted change of the rock along z."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from txm2sem_core import cli, io
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.intensity import Preparation, percentile_range
from txm2sem_core.io import PairImages, PatchStore, write_patch_store
from txm2sem_core.io.results import MARK
from txm2sem_core.measure.suggestions import REPORTED, suggest_by_txm, suggest_slices, suggestions_text

DEPTH, SIDE = 24, 128
OTHER = range(14, 19)  # slices of another texture, which no training slice shows
TRAINING, TEST = (1, 5, 9, 22), (12, 16)


def txm() -> np.ndarray:
    planes = []
    for z in range(DEPTH):
        grain_px = 6.0 if z in OTHER else 2.0
        field = ndimage.gaussian_filter(np.random.default_rng(z).standard_normal((SIDE, SIDE)), grain_px)
        planes.append(100 + 20 * field / field.std())
    return np.array(planes).astype(np.float32)


def make_results(folder: Path, *, errors_rise: bool = True, volumes: int = 0) -> Path:
    """A sample's folder as a run leaves it, as far as it is read."""
    sample, volume = folder / "rock", txm()
    io.write_tiff(folder / "txm.tif", volume[0])
    for z, plane in enumerate(volume):
        io.write_tiff(sample / f"raw/txm_volume/{z:03d}.tif", plane)
    (folder / MARK).touch()
    splits = [*((z, "train") for z in TRAINING), *((z, "test") for z in TEST)]
    pairs = {f"{z:03d}": PairImages(volume[z][None], volume[z], np.ones((SIDE, SIDE), np.uint8)) for z, _ in splits}
    rows = [
        {"split": split, "pair": f"{z:03d}", "z": z, "y": y, "x": x}
        for z, split in splits
        for y in range(0, SIDE, 32)
        for x in range(0, SIDE, 32)
    ]
    index = pd.DataFrame(rows)
    index.insert(0, "patch", range(len(rows)))
    limits = percentile_range(volume, 0.5, 99.5)
    store = PatchStore(pairs, index, 32, 1, 0, limits, limits, (32.0, 32.0, 32.0), Preparation(), "")
    write_patch_store(sample / "patches", store)
    tested = index[index["split"] == "test"]
    random = np.random.default_rng(0)
    loss = np.where(tested["z"].isin(OTHER) & errors_rise, 3.0, 0.0) + 0.1 * random.standard_normal(len(tested))
    scores = [tested.assign(variant=name, psnr=psnr - loss) for name, psnr in (("plain", 26.0), ("good", 28.0))]
    (sample / "metrics").mkdir()
    pd.concat(scores).to_csv(sample / "metrics/patches.csv", index=False)
    for number in range(volumes):
        noise = np.random.default_rng(number).standard_normal(volume.shape)
        noise[3] *= 30
        target = sample / f"volumes/good/seed{number}/sem.ome.zarr"
        io.write_ome_zarr(target, iter(volume + noise), volume.shape, np.float32, (32.0, 32.0, 32.0), {})
    return sample


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("results"))


def test_the_slices_that_no_training_slice_is_like_are_suggested_and_their_worth_is_said(sample: Path) -> None:
    found = suggest_slices(sample)
    chosen = found.slices.set_index("z")
    best = found.slices.loc[found.slices["order"] == 1].iloc[0]
    assert found.variant == "good"
    assert best["z"] in OTHER
    assert chosen.loc[list(OTHER), "novelty"].min() > 2 * chosen.loc[[3, 7, 11, 20], "novelty"].max()
    assert 0 < best["gain_low"] < best["gain"] < best["gain_high"] < 1
    assert f"z {best['z']:.0f}: " in suggestions_text(found)


def test_the_second_knows_the_first(sample: Path) -> None:
    """One slice of the other kind is enough: what is worth most beside it need not be of that kind again."""
    one, two = (suggest_slices(sample, count=count).slices for count in (1, 2))
    first, second = (int(two.loc[two["order"] == number, "z"].iloc[0]) for number in (1, 2))
    assert first == int(one.loc[one["order"] == 1, "z"].iloc[0])
    assert second != first
    assert second not in (*TRAINING, *TEST)


def test_errors_that_do_not_rise_with_novelty_are_said(tmp_path: Path) -> None:
    found = suggest_slices(make_results(tmp_path, errors_rise=False))
    assert found.fit.low < 0 < found.fit.high
    assert "an even spacing" in suggestions_text(found)


def test_where_volumes_disagree_counts_more(tmp_path: Path) -> None:
    found = suggest_slices(make_results(tmp_path, volumes=3)).slices.set_index("z")
    assert found["disagreement"].idxmax() == 3
    assert found["disagreement"].mean() == pytest.approx(1)


def test_the_command_leaves_json_and_says_what_is_missing(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "next.json"
    monkeypatch.setattr(sys, "argv", ["txm2sem", "suggest", str(sample), "--count", "2", "--output", str(output)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    left = json.loads(output.read_text())
    assert sorted(row["order"] for row in left["slices"])[-2:] == [1, 2]
    with pytest.raises(InputError, match="no folder of results"):
        suggest_slices(tmp_path)
    with pytest.raises(ConfigError, match=r"--variant best: .* has good, plain"):
        suggest_slices(sample, variant="best")


def test_too_few_patches_tell_no_gain(tmp_path: Path) -> None:
    sample = make_results(tmp_path)
    scores = pd.read_csv(sample / "metrics/patches.csv", dtype={"pair": str})
    scores.groupby("variant").head(5).to_csv(sample / "metrics/patches.csv", index=False)
    found = suggest_slices(sample)
    assert found.slices["gain"].isna().all()
    assert "5 do not overlap, of 8" in suggestions_text(found)


def test_the_report_suggests_by_the_txm_what_the_command_does_without_volumes(sample: Path, tmp_path: Path) -> None:
    files = sample / "patches", sample / "metrics/patches.csv", sample / "raw/txm_volume", None, tmp_path / "s.csv"
    suggest_by_txm(*files)
    written = pd.read_csv(tmp_path / "s.csv")
    found = suggest_slices(sample, count=REPORTED).slices
    chosen = found[found["order"] > 0].sort_values("order")
    assert written["order"].tolist() == [1, 2, 3]
    assert written["z"].tolist() == chosen["z"].tolist()
    np.testing.assert_allclose(written["gain"], chosen["gain"])
    assert set(written["variant"]) == {"good"}


def test_scores_that_say_nothing_leave_the_reason_for_the_report(sample: Path, tmp_path: Path) -> None:
    scores = pd.read_csv(sample / "metrics/patches.csv", dtype={"pair": str}).assign(psnr=np.nan)
    scores.to_csv(tmp_path / "patches.csv", index=False)
    suggest_by_txm(sample / "patches", tmp_path / "patches.csv", sample / "raw/txm_volume", None, tmp_path / "s.csv")
    written = pd.read_csv(tmp_path / "s.csv")
    assert list(written) == ["not_measured"]
    assert "no test patch was measured" in written["not_measured"].iloc[0]
