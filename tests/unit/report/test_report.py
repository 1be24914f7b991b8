"""What the report gathers: volumes within a number of bytes and of memory, tables, captions, warnings."""

from __future__ import annotations

import io as bytes_io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import zarr
from PIL import Image

from txm2sem_core import io
from txm2sem_core.provenance import digests
from txm2sem_core.report import gather
from txm2sem_core.report import volumes as report_volumes
from txm2sem_core.report.tables import read_paired, read_tables
from txm2sem_core.report.volumes import REDUCTIONS, Source, choose_sources, embed_volumes
from txm2sem_core.report.warnings import _correlation, warn_of

PLENTY = 1e9


def stack(path: Path, array: np.ndarray) -> Path:
    io.write_ome_zarr(path, list(array), array.shape, array.dtype, (20.0, 10.0, 10.0))
    return path


def decoded(content: bytes) -> np.ndarray:
    with Image.open(bytes_io.BytesIO(content)) as image:
        return np.asarray(image)


def ramp(shape: tuple[int, int, int], low: float, step: float) -> np.ndarray:
    """Every slice has one grey level, `step` above the last."""
    return np.broadcast_to((low + step * np.arange(shape[0]))[:, None, None], shape).astype(np.uint16)


# --- volumes


def test_each_sample_has_its_own_bytes_and_its_own_kept_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []
    monkeypatch.setattr(gather, "embed_volumes", lambda *arguments: given.append(arguments[3:]))
    store = {"sem_range": {"low": 0, "high": 1}, "voxel_size_nm": [1, 1, 1]}
    for name in "abcdefghij":
        sample = gather.SampleResults(name, "pairs", Path("results", name), [], [], None, None, [])
        gather._viewer(sample, [], store)
    assert {most_bytes for most_bytes, _ in given} == {gather.VIEWER_BYTES}
    assert len({kept for _, kept in given}) == 10


def test_small_volumes_are_embedded_whole_on_one_grey_scale(tmp_path: Path) -> None:
    shape = (20, 48, 64)
    sources = [
        Source("TXM", "txm", stack(tmp_path / "txm.ome.zarr", ramp(shape, 1000, 100))),
        Source("net", "prediction", stack(tmp_path / "net.ome.zarr", ramp(shape, 60, 2))),
        Source("Truth", "truth", stack(tmp_path / "truth.ome.zarr", ramp(shape, 40, 10))),
    ]
    view = embed_volumes(sources, (0, 255), (20.0, 10.0, 10.0), PLENTY)
    assert view
    assert (view["shape"], view["voxel_nm"], view["z_step"]) == (shape, (20.0, 10.0, 10.0), 1)
    txm, net, truth = view["volumes"]
    assert (net["low"], net["high"]) == (truth["low"], truth["high"]) == (40, 230)
    assert (txm["low"], txm["high"]) == (1000, 2900)
    for z in (0, 7, 19):
        np.testing.assert_allclose(decoded(net["slices"][z]), (60 + 2 * z - 40) / 190 * 255, atol=2)
        np.testing.assert_allclose(decoded(txm["slices"][z]), z / 19 * 255, atol=2)


def test_without_truth_the_grey_scale_is_that_of_the_training_images(tmp_path: Path) -> None:
    path = stack(tmp_path / "a.ome.zarr", ramp((4, 32, 32), 60, 2))
    view = embed_volumes(
        [Source("TXM", "txm", path), Source("net", "prediction", path)], (10, 200), (None,) * 3, PLENTY
    )
    assert view
    assert (view["volumes"][1]["low"], view["volumes"][1]["high"]) == (10, 200)
    assert view["voxel_nm"] == (None, None, None)


def test_large_volumes_are_thinned_and_averaged_and_the_voxels_grow(tmp_path: Path) -> None:
    shape = (450, 16, 600)
    path = tmp_path / "large.tif"
    io.write_volume_tiff(path, ramp(shape, 0, 1), (20.0, 10.0, 10.0))
    view = embed_volumes([Source("TXM", "txm", path)], (0, 1), (20.0, 10.0, 10.0), PLENTY)
    assert view
    assert (view["shape"], view["z_step"], view["full_shape"]) == ((150, 7, 256), 3, shape)
    np.testing.assert_allclose([float(size or 0) for size in view["voxel_nm"]], (60, 160 / 7, 6000 / 256))
    np.testing.assert_allclose(decoded(view["volumes"][0]["slices"][100]), 300 / 449 * 255, atol=2)


@pytest.mark.parametrize("most_bytes", [150_000, 400_000])
def test_what_is_embedded_fits_the_bytes(tmp_path: Path, most_bytes: int) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (24, 256, 256)).astype(np.uint8)
    view = embed_volumes([Source("TXM", "txm", stack(tmp_path / "a.ome.zarr", noise))], (0, 1), (None,) * 3, most_bytes)
    assert view
    taken = sum(len(content) for content in view["volumes"][0]["slices"]) * 4 / 3
    assert taken <= 1.05 * most_bytes
    assert view["shape"][1] < 256


def test_the_last_reduction_is_taken_where_none_fits(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (8, 128, 128)).astype(np.uint8)
    view = embed_volumes([Source("TXM", "txm", stack(tmp_path / "a.ome.zarr", noise))], (0, 1), (None,) * 3, 1)
    assert view
    assert view["shape"] == (8, REDUCTIONS[-1].side_px, REDUCTIONS[-1].side_px)


def test_volumes_are_read_in_slabs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a slab of a volume is in memory, however deep it is."""
    slabs = []
    whole_read = io.Volume.read

    def read(self: io.Volume, z0: int, z1: int) -> np.ndarray:
        slabs.append(z1 - z0)
        return whole_read(self, z0, z1)

    monkeypatch.setattr(io.Volume, "read", read)
    path = stack(tmp_path / "a.ome.zarr", ramp((100, 32, 32), 0, 1))
    embed_volumes([Source("TXM", "txm", path)], (0, 1), (None,) * 3, PLENTY)
    assert max(slabs) == 16
    slabs.clear()
    monkeypatch.setattr(report_volumes, "_SLAB_BYTES", 2 * 32 * 32 * 2)  # two slices
    embed_volumes([Source("TXM", "txm", path)], (0, 1), (None,) * 3, PLENTY)
    assert max(slabs) == 2


@pytest.fixture
def decoded_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of voxels of each reading of a volume from now on."""
    found: list[int] = []
    whole_read = io.Volume.read

    def read(self: io.Volume, z0: int, z1: int) -> np.ndarray:
        slab = whole_read(self, z0, z1)
        found.append(slab.nbytes)
        return slab

    monkeypatch.setattr(io.Volume, "read", read)
    return found


SHAPE = (404, 8, 1024)  # of which every third slice is shown with 2 x 256 pixels: level 1 suffices, level 2 does not


def waves() -> np.ndarray:
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return np.rint(100 + 40 * np.sin(z / 40) + 40 * np.sin(x / 60) + y).astype(np.uint8)


def test_the_coarsest_level_that_suffices_is_read(tmp_path: Path, decoded_bytes: list[int]) -> None:
    """An eighth of the voxels; the pictures are those of the volume itself but for its mean over two slices."""
    txm, predicted = tmp_path / "txm.tif", stack(tmp_path / "a.ome.zarr", waves())
    stack_of_all = tmp_path / "all.tif"
    for path in (txm, stack_of_all):
        io.write_volume_tiff(path, waves(), (20.0, 10.0, 10.0))
    taken, shown = [], []
    for path in (stack_of_all, predicted):
        decoded_bytes.clear()
        view = embed_volumes(
            [Source("TXM", "txm", txm), Source("net", "prediction", path)], (0, 255), (20.0, 10.0, 10.0), PLENTY
        )
        assert view
        assert view["shape"] == (135, 2, 256)
        taken.append(sum(decoded_bytes))
        shown.append([decoded(content).astype(float) for content in view["volumes"][1]["slices"]])
    plane = SHAPE[1] * SHAPE[2]
    txm_bytes = (135 + 2 * 5) * plane  # what is shown, and twice a few slices for grey levels and the field of view
    assert taken[0] == txm_bytes + (135 + 5) * plane
    assert taken[1] - txm_bytes < SHAPE[0] / 2 * plane / 4 * 1.2  # level 1, whole
    assert np.abs(np.array(shown[0]) - np.array(shown[1])).max() < 6


def test_a_volume_that_is_shown_whole_is_read_at_full_size(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 300, 300)).astype(np.uint8)
    path, other = stack(tmp_path / "a.ome.zarr", noise), tmp_path / "a.tif"
    io.write_volume_tiff(other, noise, (20.0, 10.0, 10.0))
    views = [
        embed_volumes([Source("TXM", "txm", other), Source("net", "prediction", each)], (0, 255), (None,) * 3, PLENTY)
        for each in (path, other)
    ]
    assert views[0] == views[1]


def test_levels_of_others_are_not_read(tmp_path: Path, decoded_bytes: list[int]) -> None:
    """Nobody knows how they were made: here they are black."""
    path = stack(tmp_path / "a.ome.zarr", waves())
    for level in (1, 2):
        zarr.open_array(path / str(level), mode="r+")[:] = 0
    zarr.open_group(path, mode="r+").attrs.put(
        {name: value for name, value in zarr.open_group(path).attrs.items() if name != "txm2sem"}
    )
    view = embed_volumes([Source("t", "txm", path), Source("p", "prediction", path)], (0, 255), (None,) * 3, PLENTY)
    assert view
    assert decoded(view["volumes"][1]["slices"][0]).mean() > 50


def test_compressed_slices_are_kept_until_the_volume_changes(
    tmp_path: Path, decoded_bytes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another name or caption reads no voxel; another content, budget or grey scale does."""
    monkeypatch.setattr(digests, "_YOUNG_NS", 0)  # or nothing that a test has just written would be believed
    kept = tmp_path / "kept.npz"
    path = stack(tmp_path / "a.ome.zarr", ramp((8, 32, 32), 0, 1))

    def view(name: str = "net", high: float = 20, most_bytes: float = PLENTY) -> Any:
        decoded_bytes.clear()
        sources = [Source("TXM", "txm", path), Source(name, "prediction", path)]
        return embed_volumes(sources, (0, high), (None,) * 3, most_bytes, kept)

    first = view()
    assert decoded_bytes
    assert view() == first
    assert not decoded_bytes
    renamed = view("another name")
    assert not decoded_bytes
    assert renamed["volumes"][1] == {**first["volumes"][1], "name": "another name"}
    assert view(high=30) != first
    assert decoded_bytes
    view(most_bytes=1e5)
    assert decoded_bytes
    shutil.rmtree(path)
    stack(path, ramp((8, 32, 32), 5, 1))
    assert view() != first
    assert decoded_bytes


@pytest.mark.parametrize("damage", ["other", "cut", "empty", "young", "copied"])
def test_what_is_kept_is_read_only_where_it_is_sound(
    tmp_path: Path, decoded_bytes: list[int], monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Not what is damaged, nor of files that have just changed, nor what came along with copied results."""
    monkeypatch.setattr(digests, "_YOUNG_NS", 10**15 if damage == "young" else 0)
    folder = tmp_path / "results"
    stack(folder / "a.ome.zarr", ramp((8, 32, 32), 0, 1))

    def view(folder: Path) -> Any:
        decoded_bytes.clear()
        return embed_volumes([Source("t", "txm", folder / "a.ome.zarr")], (0, 1), (None,) * 3, PLENTY, folder / ".kept")

    first = view(folder)
    if damage == "copied":
        folder = shutil.copytree(folder, tmp_path / "received")
    elif damage != "young":
        content = (folder / ".kept").read_bytes()
        changed = {"other": b"?" + content[1:], "cut": content[:200], "empty": b""}
        (folder / ".kept").write_bytes(changed[damage])
    assert view(folder) == first
    assert decoded_bytes


def test_a_volume_of_another_shape_is_named_not_shown(tmp_path: Path) -> None:
    sources = [
        Source("TXM", "txm", stack(tmp_path / "txm.ome.zarr", ramp((10, 32, 32), 0, 1))),
        Source("cropped", "prediction", stack(tmp_path / "a.ome.zarr", ramp((10, 31, 32), 0, 1))),
        Source("other", "prediction", stack(tmp_path / "b.ome.zarr", ramp((10, 16, 32), 0, 1))),
    ]
    view = embed_volumes(sources, (0, 1), (None,) * 3, PLENTY)
    assert view
    assert [volume["name"] for volume in view["volumes"]] == ["TXM", "cropped"]
    assert view["shape"] == (10, 31, 32)
    assert view["left_out"] == ["other: its shape (10, 16, 32) (Z, Y, X) is not the TXM's, (10, 32, 32)"]


def test_the_viewer_offers_the_learned_ones_the_best_baseline_truth_and_uncertainty(tmp_path: Path) -> None:
    plain = stack(tmp_path / "plain.ome.zarr", ramp((4, 32, 32), 0, 1))
    channels = [io.Channel("prediction"), io.Channel("uncertainty")]
    both = np.stack([ramp((4, 32, 32), 100, 1), ramp((4, 32, 32), 5, 1)], axis=1)
    spread = tmp_path / "spread.ome.zarr"
    io.write_ome_zarr(spread, list(both), (4, 32, 32), both.dtype, None, channels=channels)
    names = [f"net{i}" for i in range(8)]
    summary: list[dict[str, Any]] = [{"variant": name, "label": name, "kind": "learned"} for name in names]
    summary += [{"variant": f"map{i}", "label": f"map{i}", "kind": "baseline"} for i in range(2)]
    volumes: Any = [
        {"variant": row["variant"], "path": str(spread if row["variant"] == "net2" else plain)} for row in summary
    ]
    sources = choose_sources(summary, volumes, Source("TXM", "txm", plain), plain)
    assert [source.name for source in sources] == [
        "TXM",
        *names[:6],
        "map0 (best baseline)",
        "Truth",
        "Uncertainty of net2",
    ]
    view = embed_volumes([sources[0], sources[-1]], (0, 1), (None,) * 3, PLENTY)
    assert view
    unsure = view["volumes"][1]
    assert unsure["low"] == 0
    np.testing.assert_allclose(decoded(unsure["slices"][3]) / 255 * unsure["high"], 8, atol=0.1)
    assert choose_sources(summary, volumes, None, plain) == []
    assert choose_sources(summary[-2:], volumes, plain, plain) == []


def test_the_viewer_offers_where_the_txm_is_not_explained(tmp_path: Path) -> None:
    """On blocks of 4 voxels, the last of which along z reach beyond the volume."""
    shape, residual = (10, 32, 32), tmp_path / "residual.ome.zarr"
    values = np.arange(3 * 8 * 8, dtype=np.float32).reshape(3, 8, 8) / 16
    io.write_ome_zarr(residual, iter(values), values.shape, np.float32, None, {"txm2sem": {"block_px": 4}})
    plain = stack(tmp_path / "plain.ome.zarr", ramp(shape, 0, 1))
    summary = [{"variant": name, "label": name, "kind": "learned"} for name in ("best", "speaker")]
    volumes: Any = [{"variant": row["variant"], "path": str(plain)} for row in summary]
    txm = Source("TXM", "txm", plain)
    sources = choose_sources(summary, volumes, txm, None, "speaker", residual)
    assert [source.name for source in sources] == ["TXM", "speaker", "best", "TXM not explained by speaker"]
    assert len(choose_sources(summary, volumes, txm, None, "unknown", residual)) == 3  # of a variant that is not shown
    view = embed_volumes(sources, (0, 1), (None,) * 3, PLENTY)
    assert view
    assert view["shape"] == shape
    shown = view["volumes"][-1]
    assert (shown["low"], shown["high"]) == (0, pytest.approx(np.percentile(values, 99.5), rel=0.01))
    found = np.stack([decoded(one) for one in shown["slices"]]) / 255 * shown["high"]
    whole = values.repeat(4, 0).repeat(4, 1).repeat(4, 2)[:10]
    np.testing.assert_allclose(found[[0, 5, 9]], np.minimum(whole, shown["high"])[[0, 5, 9]], atol=0.6)


# --- tables


def test_tables_come_in_the_order_of_the_catalogue_with_headings(tmp_path: Path) -> None:
    volumes = pd.DataFrame(
        {"variant": ["a_b"], "seed": [0], "slices": [48.0], "psnr": [20.123], "dice_0": [0.5], "ssim": [None]}
    )
    io.write_csv(tmp_path / "volumes.csv", volumes)
    io.write_csv(tmp_path / "pairs.csv", pd.DataFrame({"variant": ["a"], "p": [0.01]}))
    io.write_csv(tmp_path / "patches.csv", pd.DataFrame({"variant": ["a"]}))
    io.write_csv(tmp_path / "rock.csv", pd.DataFrame({"variant": ["a"]}))
    names = ["patches.csv", "volumes.csv", "pairs.csv", "uncertainty.csv"]
    paired, shown = read_tables(tmp_path, names)  # rock.csv is of an earlier run, uncertainty.csv is missing
    assert (paired["title"], shown["title"]) == ("Paired tests", "Volumes")
    assert shown["columns"] == [
        ("label", "Variant", 3),
        ("seed", "Seed", 0),
        ("psnr", "PSNR / dB", 2),
    ]
    assert shown["rows"][0]["label"] == "a b"
    assert paired["columns"] == [("variant", "Variant", 3), ("p", "p", 3)]


def test_a_table_of_metrics_shows_their_titles_and_three_digits(tmp_path: Path) -> None:
    """No raw name, no size of a block, and no variant of which there is one volume."""
    names = ["euler_per_um3", "permeability_x_nd", "permeability_x_m2", "porosity", "fraction_1", "tortuosity_y"]
    rows = [{"variant": variant, "metric": name, "n": n, "mean": 0.123456} for name in names for variant, n in RUNS]
    io.write_csv(tmp_path / "rock_intervals.csv", pd.DataFrame(rows))
    (table,) = read_tables(tmp_path, ["rock_intervals.csv"])
    labels = [row["label"] for row in table["rows"]]
    shown = ["Porosity", "Euler number / µm⁻³", "Tortuosity y", "Permeability x / nD", "Second phase"]  # as in the list
    assert labels == [f"{title}, a b" for title in shown]
    assert not [label for label in labels if "_" in label]
    assert [digits for key, _, digits in table["columns"] if key == "mean"] == [-3]


RUNS = (("a_b", 2), ("alone", 1))


def test_of_a_variant_with_several_volumes_the_means_are_shown(tmp_path: Path) -> None:
    table = {
        "variant": ["truth", "a", "a", "a", "b"],
        "seed": ["", "0", "1", "all", "0"],
        "porosity": [1, 2, 3, 2.5, 4],
    }
    io.write_csv(tmp_path / "rock.csv", pd.DataFrame(table))
    (shown,) = read_tables(tmp_path, ["rock.csv"])
    assert [(row["label"], row["porosity"]) for row in shown["rows"]] == [("truth", 1), ("a", 2.5), ("b", 4)]


def test_a_standard_error_stands_beside_its_mean(tmp_path: Path) -> None:
    repair = pd.DataFrame({"variant": ["a"], "seed": [0], "psnr_mean": [24.31], "psnr_stderr": [0.00944]})
    io.write_csv(tmp_path / "repair.csv", repair)
    (table,) = read_tables(tmp_path, ["repair.csv"])
    assert [key for key, _, _ in table["columns"]] == ["label", "seed", "psnr_mean"]
    assert table["rows"][0]["psnr_stderr"] == 0.00944


def test_a_long_table_is_cut_and_says_so(tmp_path: Path) -> None:
    io.write_csv(tmp_path / "rock.csv", pd.DataFrame({"variant": ["a"] * 500, "porosity": 0.1}))
    (table,) = read_tables(tmp_path, ["rock.csv"])
    assert len(table["rows"]) == 300
    assert "The first 300 of 500 rows" in table["note"]


def test_paired_tests_are_read_where_their_columns_are_there(tmp_path: Path) -> None:
    own = {
        "first": ["a"],
        "second": ["b"],
        "score": ["psnr"],
        "unit": ["slice"],
        "slices": [3],
        "n": [4],
        "better": [None],
    }
    io.write_csv(tmp_path / "pairs.csv", pd.DataFrame({**own, "difference": [0.2], "low": [0.1], "high": [0.3]}))
    assert read_paired(tmp_path, ["pairs.csv"])[0]["low"] == 0.1
    assert read_paired(tmp_path, []) == []
    pd.DataFrame({"variant": ["a"]}).to_csv(tmp_path / "pairs.csv", index=False)
    assert read_paired(tmp_path, ["pairs.csv"]) == []


def test_words_that_are_missing_do_not_make_numbers_of_a_column(tmp_path: Path) -> None:
    io.write_csv(
        tmp_path / "rock.csv", pd.DataFrame({"variant": ["a", "b"], "of": ["x", None], "porosity": [None, 0.1]})
    )
    (table,) = read_tables(tmp_path, ["rock.csv"])
    assert [row["of"] for row in table["rows"]] == ["x", None]
    assert np.isnan(table["rows"][0]["porosity"])


# --- warnings


def summary_of(n: int, seeds: int, factor: int = 1) -> list[dict[str, Any]]:
    return [
        {"variant": "net", "label": "net", "kind": "learned", "n": n, "seeds": seeds, "factor": factor},
        {"variant": "map", "label": "map", "kind": "baseline", "n": n, "seeds": 1, "factor": 1},
    ]


def quality_of(*margins: float, disagreement: float = 0.1) -> pd.DataFrame:
    rows = [
        {
            "pair": f"{i:03}",
            "accepted": True,
            "similarity_after": 1 + m,
            "similarity_chance": 1.0,
            "disagreement_px": disagreement,
        }
        for i, m in enumerate(margins)
    ]
    return pd.DataFrame(rows)


def index_of(slices: int, step: float = 100) -> pd.DataFrame:
    places = [10 + step * i for i in range(slices)]
    return pd.DataFrame({"split": ["test"] * slices, "pair": [f"{i:03}" for i in range(slices)], "z": places})


def spectra_of(length_nm: float) -> pd.DataFrame:
    """Power of grey levels whose correlation falls as a Gaussian: 1/e at that distance."""
    frequency = np.linspace(0, 0.05, 512)
    power = np.exp(-((np.pi * length_nm * frequency) ** 2))
    return pd.DataFrame({"source": "sem", "frequency_per_nm": frequency, "power": power})


CALM = (spectra_of(200), (32.0, 16.0, 16.0))


def test_nothing_is_warned_of_without_a_reason() -> None:
    assert warn_of(summary_of(100, 3), quality_of(0.2, 0.3), index_of(5), [], *CALM) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((summary_of(10, 3), quality_of(0.2), index_of(5), [], *CALM), "10 test patches only"),
        ((summary_of(100, 3), quality_of(0.2), index_of(1), [], *CALM), "one slice: too few slices to tell"),
        ((summary_of(100, 3), quality_of(0.2), index_of(3), [], *CALM), "of 3 slices. Errors and intervals"),
        ((summary_of(100, 3), quality_of(0.2), index_of(5, 4), [], *CALM), "128 nm along z"),
        (
            (summary_of(100, 1), quality_of(0.2), index_of(5), [], *CALM),
            "Every learned variant was trained with a single seed",
        ),
        ((summary_of(100, 3, 2), quality_of(0.2), index_of(5), [], *CALM), "factor ×2"),
        (
            (summary_of(100, 3), quality_of(0.2, 0.01), index_of(5), [], *CALM),
            "1 of 2 pairs is doubtful, though it passed: 001",
        ),
        ((summary_of(100, 3), quality_of(0.2, disagreement=1.5), index_of(5), [], *CALM), "1 of 1 pairs is doubtful"),
    ],
)
def test_what_would_mislead_is_said(arguments: Any, words: str) -> None:
    (warning,) = warn_of(*arguments)
    assert words in warning


@pytest.mark.parametrize("distance_nm", [50.0, 128.0, 250.0])
def test_the_correlation_of_neighbours_is_that_of_their_spectrum(distance_nm: float) -> None:
    assert _correlation(spectra_of(200), distance_nm) == pytest.approx(np.exp(-((distance_nm / 200) ** 2)), abs=0.01)


@pytest.mark.parametrize(("z", "size"), [(np.nan, (32.0, 16.0, 16.0)), (1.0, (None, 16.0, 16.0))])
def test_of_places_that_are_not_known_nothing_is_said(z: float, size: Any) -> None:
    index = index_of(5, 1).assign(z=lambda table: table["z"] * z)
    assert warn_of(summary_of(100, 3), quality_of(0.2), index, [], spectra_of(200), size) == []


def test_warnings_in_the_volumes_are_passed_on_once(tmp_path: Path) -> None:
    for name in "ab":
        attributes = {"txm2sem": {"warnings": ["the voxel size along z is not known"]}}
        io.write_ome_zarr(
            tmp_path / f"{name}.ome.zarr", [np.zeros((4, 4), np.uint8)], (1, 4, 4), np.uint8, None, attributes
        )
    volumes: Any = [{"variant": name, "path": str(tmp_path / f"{name}.ome.zarr")} for name in "ab"]
    assert warn_of(summary_of(100, 3), quality_of(0.2), index_of(5), volumes, *CALM) == [
        "Volume (all volumes): the voxel size along z is not known"
    ]
