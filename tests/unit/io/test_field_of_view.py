"""What of volumes was measured: read, predicted, measured and drawn; what was not measured counts nowhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from small_data import make_store
from small_models import model, predictor

from txm2sem_core import io
from txm2sem_core.config import DownsampleSettings, MeasureSettings, RockSettings
from txm2sem_core.config.figures import CommonStyle, PhasesStyle, PoreSpaceStyle, SectionsStyle
from txm2sem_core.errors import InputError
from txm2sem_core.figures import phases, pore_space, sections
from txm2sem_core.geometry import common_crop
from txm2sem_core.inference import predict_volume
from txm2sem_core.intensity.measured import measured
from txm2sem_core.io import Volume
from txm2sem_core.io.field_of_view import FieldOfView, Measured
from txm2sem_core.measure.evaluate import evaluate_files
from txm2sem_core.measure.evaluate_rock import RockOptions
from txm2sem_core.measure.rock import measure_rock
from txm2sem_core.measure.volumes import measure_volume
from txm2sem_core.metrics import Thresholds
from txm2sem_core.patches.downsample import downsample_volume
from txm2sem_core.report.volumes import Source, embed_volumes

SIZE = (10.0, 10.0, 10.0)
SHAPE = (12, 64, 72)
Y, X = np.mgrid[: SHAPE[1], : SHAPE[2]]
CIRCLE = np.hypot(Y - 31.5, X - 35.5) < 33
BORDER = (Y >= 7) & (X < 63)
VIEWS = {"circle": CIRCLE, "border": BORDER}
OUTSIDES = [0, math.nan, -1, 255]
LEVEL = 110.0


def rock(seed: int, dtype: str = "float32") -> np.ndarray:
    """Grey levels from about 1 to 254."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), 1.5)
    return np.clip(128 + 40 * field / field.std(), 1, 254).astype(dtype)


def seen_through(volume: np.ndarray, view: np.ndarray, outside: float) -> np.ndarray:
    return np.where(view, volume, outside).astype(volume.dtype)


def rectangles(mask: np.ndarray) -> Iterator[tuple[slice, slice]]:
    height, width = mask.shape
    for y0 in range(height):
        for y1 in range(y0 + 1, height + 1):
            for x0 in range(width):
                for x1 in range(x0 + 1, width + 1):
                    if mask[y0:y1, x0:x1].all():
                        yield slice(y0, y1), slice(x0, x1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 6), st.floats(0.1, 0.95))
def test_no_rectangle_is_larger(seed: int, height: int, width: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    mask[0, 0] = True
    found = common_crop(mask).of(mask)
    assert found.all()
    assert found.size == max(mask[place].size for place in rectangles(mask))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(sorted(VIEWS)), st.sampled_from(OUTSIDES), st.integers(0, 3))
def test_shares_and_box_are_those_of_what_was_measured(seed: int, view: str, outside: float, blank: int) -> None:
    """Whatever stands outside, and however many slices at the ends are blank."""
    inside = rock(seed)
    array = seen_through(inside, VIEWS[view], outside)
    array[: blank // 2] = outside
    array[SHAPE[0] - (blank - blank // 2) :] = outside
    seen = Measured.of(FieldOfView(Volume.of_array(array)))
    depth = SHAPE[0] - blank
    assert seen.share == pytest.approx(VIEWS[view].mean() * depth / SHAPE[0], abs=0.06)  # a pixel's width less
    assert seen.box.z == slice(blank // 2, SHAPE[0] - (blank - blank // 2))
    assert VIEWS[view][seen.box.y, seen.box.x].all()
    assert seen.box.shape[1] * seen.box.shape[2] > 0.85 * common_crop(VIEWS[view]).of(VIEWS[view]).size
    masks = np.stack(list(seen.apart()[1]))
    porosity = seen.phase_shares(Thresholds((LEVEL,)))["porosity"]
    assert porosity == pytest.approx((inside <= LEVEL)[masks].mean())
    assert np.isfinite(np.stack(list(seen.apart()[0][0]))).all()
    assert np.array_equal(seen.boxed(0).read(0, depth), inside[seen.box])


def test_a_slice_says_the_same_whichever_came_before() -> None:
    array = seen_through(rock(0, "uint8"), CIRCLE, 0)
    array[5] = seen_through(rock(1, "uint8")[5], BORDER, 0)
    first, second = FieldOfView(Volume.of_array(array)), FieldOfView(Volume.of_array(array))
    forwards = [first.filled(plane, first.of(plane, z)) for z, plane in enumerate(array)]
    backwards = [second.filled(array[z], second.of(array[z], z)) for z in range(len(array))[::-1]][::-1]
    assert np.array_equal(forwards, backwards)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_a_whole_volume_is_whole(dtype: str) -> None:
    volume = Volume.of_array(rock(3, dtype))
    seen = Measured.of(FieldOfView(volume))
    assert seen.is_whole
    assert seen.box.shape == SHAPE
    assert seen.metrics() == {}


@pytest.mark.parametrize("array", [np.zeros(SHAPE, np.uint8), np.indices(SHAPE).sum(axis=0) % 16 // 15 * 7 + 1])
def test_of_one_or_two_values_nothing_can_be_decided(array: np.ndarray) -> None:
    assert Measured.of(FieldOfView(Volume.of_array(array.astype(np.uint8)))).is_whole


@pytest.mark.parametrize("name", ["v.tif", "v.ome.zarr", "folder"])
def test_nan_is_read_and_infinite_voxels_are_refused(tmp_path: Path, name: str) -> None:
    array = seen_through(rock(0), CIRCLE, math.nan)

    def written(array: np.ndarray) -> Path:
        if name == "folder":
            (tmp_path / name).mkdir(exist_ok=True)
            for z, plane in enumerate(array):
                io.write_tiff(tmp_path / name / f"{z:03}.tif", plane)
        elif name.endswith(".zarr"):
            io.write_ome_zarr(tmp_path / name, iter(array), array.shape, array.dtype, SIZE)
        else:
            io.write_tiff(tmp_path / name, array, SIZE)
        return tmp_path / name

    np.testing.assert_array_equal(io.open_volume(written(array)).read(0, SHAPE[0]), array)
    array[3, 30, 30] = math.inf
    with pytest.raises(InputError, match=r"slices 2 to 3 hold 1 infinite voxels.*NaN stands for"):
        io.open_volume(written(array)).read(2, 4)


@pytest.mark.parametrize("name", ["v.ome.zarr", "v.tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("outside", OUTSIDES)
def test_outside_stays_outside_in_a_predicted_volume(tmp_path: Path, name: str, dtype: str, outside: float) -> None:
    inside = rock(0)
    inside[:, 30:34, 30:34] = 0  # pores as dark as the outside of a predicted volume
    loaded = model("identity", sem_dtype=dtype, high=255.0)
    predict_volume(predictor(loaded), Volume.of_array(inside), tmp_path / "whole.tif")
    predict_volume(predictor(loaded), Volume.of_array(seen_through(inside, CIRCLE, outside)), tmp_path / name)
    volume = io.open_volume(tmp_path / name)
    assert volume.stated
    mask = np.stack([FieldOfView(volume).of(plane, z) for z, plane in enumerate(volume.slices())])
    beside = ndimage.binary_erosion(CIRCLE, np.ones((3, 3)), iterations=2)
    assert not mask[:, ~CIRCLE].any()
    assert mask[:, beside].all()
    there, alone = volume.read(0, SHAPE[0])[mask], io.open_volume(tmp_path / "whole.tif").read(0, SHAPE[0])[mask]
    apart = there.astype(float) - alone
    assert (apart[alone > 0] == 0).all()
    assert (apart <= (1 if np.dtype(dtype).kind == "u" else 0)).all()
    marks = io.read_marks(tmp_path / name)
    assert float(marks["measured_share"]) == pytest.approx(mask.mean(), abs=1e-6)


def test_a_part_or_a_slice_that_was_not_measured_changes_no_other(tmp_path: Path) -> None:
    """The middle slice is NaN: its neighbours are predicted with what is left, and it is not predicted."""
    inside = rock(0)
    loaded = model("linearfilt", in_channels=3, sem_dtype="float32")
    gone = inside.copy()
    gone[6] = math.nan
    for name, array in (("whole", inside), ("gone", gone)):
        predict_volume(predictor(loaded), Volume.of_array(array), tmp_path / f"{name}.tif")
    whole, left = (io.open_volume(tmp_path / f"{name}.tif").read(0, SHAPE[0]) for name in ("whole", "gone"))
    assert np.isnan(left[6]).all()
    others = [z for z in range(SHAPE[0]) if abs(z - 6) > 1]
    assert np.array_equal(whole[others], left[others])
    assert np.isfinite(left[[5, 7]]).all()


@pytest.mark.parametrize("name", ["v.ome.zarr", "v.tif"])
def test_black_pores_of_whole_slices_count_where_another_slice_is_blank(tmp_path: Path, name: str) -> None:
    inside = rock(0)
    inside[:, 30:34, 30:34] = 0  # predicted as 0, which also stands for what was not measured
    blank = inside.copy()
    blank[[3, -1]] = 7
    loaded = model("identity", sem_dtype="uint8", high=255.0)
    predict_volume(predictor(loaded), Volume.of_array(inside), tmp_path / "whole.tif")
    predict_volume(predictor(loaded), Volume.of_array(blank), tmp_path / name)
    volume, alone = (io.open_volume(tmp_path / each) for each in (name, "whole.tif"))
    seen = [z for z in range(SHAPE[0]) if z not in (3, SHAPE[0] - 1)]
    for z, plane in enumerate(volume.slices()):
        mask = FieldOfView(volume).of(plane, z)
        assert mask is None if z in seen else mask is not None and not mask.any()
    slices, expected = (each.read(0, SHAPE[0])[seen] for each in (volume, alone))
    np.testing.assert_array_equal(slices, expected)
    assert (slices[0, 30:34, 30:34] == 0).all()
    assert Measured.of(FieldOfView(volume)).share == pytest.approx(len(seen) / SHAPE[0])
    assert io.read_marks(tmp_path / name)["whole_slices"] == f"0-2,4-{SHAPE[0] - 2}"


def test_what_was_wholly_measured_states_nothing(tmp_path: Path) -> None:
    predict_volume(predictor(model("identity", sem_dtype="uint8")), Volume.of_array(rock(0)), tmp_path / "v.ome.zarr")
    assert not {io.UNMEASURED, "measured_share"} & io.read_marks(tmp_path / "v.ome.zarr").keys()
    volume = io.open_volume(tmp_path / "v.ome.zarr")
    assert FieldOfView(volume).is_whole


def test_a_volume_without_any_measured_voxel_is_refused(tmp_path: Path) -> None:
    nothing = Volume.of_array(np.full(SHAPE, math.nan, np.float32), source="scan.h5")
    with pytest.raises(InputError, match=r"scan\.h5: nothing was measured"):
        predict_volume(predictor(model("identity")), nothing, tmp_path / "v.ome.zarr")
    with pytest.raises(InputError, match=r"scan\.h5: nothing was measured"):
        Measured.of(FieldOfView(nothing))
    assert list(tmp_path.iterdir()) == []


def test_the_same_input_with_another_field_of_view_is_predicted_again(tmp_path: Path) -> None:
    inside = rock(0)
    filled = seen_through(inside, CIRCLE, 0)
    field = FieldOfView(Volume.of_array(filled))
    # seen alike by the network
    same = np.stack([field.filled(plane, field.of(plane, z)) for z, plane in enumerate(filled)])
    target, loaded = tmp_path / "v.tif", predictor(model("identity", sem_dtype="uint8", high=255.0))
    predict_volume(loaded, Volume.of_array(filled), target, overwrite=False)
    assert predict_volume(loaded, Volume.of_array(filled), target, overwrite=False).made == 0
    with pytest.raises(InputError, match="--overwrite"):
        predict_volume(loaded, Volume.of_array(same), target, overwrite=False)


@pytest.mark.parametrize("outside", OUTSIDES)
def test_the_rock_is_that_of_the_crop(tmp_path: Path, outside: float) -> None:
    """Porosity over all that was measured; all else is exactly that of the box."""
    make_store(tmp_path / "patches")
    inside = rock(4)
    loaded = predictor(model("identity", high=255.0, sem_dtype="uint8"))
    predict_volume(loaded, Volume.of_array(seen_through(inside, CIRCLE, outside), SIZE), tmp_path / "v.tif")
    seen = Measured.of(FieldOfView(io.open_volume(tmp_path / "v.tif")))
    masks = np.stack(list(seen.apart()[1]))
    inside = np.rint(inside)
    io.write_tiff(tmp_path / "box.tif", inside[seen.box].astype(np.uint8), SIZE)
    chosen = MeasureSettings(thresholds=(LEVEL,), phases=2, rock=RockSettings(cube_px=16))
    for name in ("v", "box"):
        measure_rock(tmp_path / f"{name}.tif", tmp_path / "patches", chosen, tmp_path / name / "rock.json")
    found, box = (io.read_json(tmp_path / name / "rock.json") for name in ("v", "box"))
    of_all = {"porosity", "fraction_0", "fraction_1"}
    assert {key: value for key, value in found.items() if key in box and key not in of_all} == {
        key: value for key, value in box.items() if key not in of_all
    }
    assert found["porosity"] == pytest.approx((inside <= LEVEL)[masks].mean())
    assert found["measured_share"] == pytest.approx(masks.mean())
    assert [found[f"box_{axis}_px"] for axis in "zyx"] == list(seen.box.shape)
    assert (tmp_path / "v" / "rock_distributions.csv").read_bytes() == (
        tmp_path / "box" / "rock_distributions.csv"
    ).read_bytes()


@pytest.mark.parametrize("outside", OUTSIDES)
def test_evaluate_scores_what_was_measured(tmp_path: Path, outside: float) -> None:
    true, noise = rock(5), np.random.default_rng(0).normal(0, 9, SHAPE).astype(np.float32)
    predicted = true + noise
    io.write_tiff(tmp_path / "p.tif", np.where(CIRCLE, predicted, 77).astype(np.float32), SIZE)
    io.write_tiff(tmp_path / "t.tif", seen_through(true, CIRCLE, outside), SIZE)
    with pytest.warns(UserWarning, match=r"of the voxels were measured"):
        found = evaluate_files(
            tmp_path / "p.tif", tmp_path / "t.tif", None, 255, tmp_path / "m.json", rock=RockOptions(phases=2)
        )
    field = FieldOfView(io.open_volume(tmp_path / "t.tif"))
    masks = np.stack([field.of(plane, z) for z, plane in enumerate(field.volume.slices())])
    assert found["mae"] == pytest.approx(np.abs(noise[masks]).mean() / 255, rel=1e-3)
    assert found["porosity_truth"] == pytest.approx((true <= found["thresholds"][0])[masks].mean())
    assert found["measured_share"] == found["counted_share"] == pytest.approx(masks.mean())
    seen = Measured.of(field)
    for name, array in (("p", predicted), ("t", true)):
        io.write_tiff(tmp_path / f"{name}_box.tif", array[seen.box].astype(np.float32), SIZE)
    rock_of_box = RockOptions(thresholds=tuple(found["thresholds"]))
    box = evaluate_files(
        tmp_path / "p_box.tif", tmp_path / "t_box.tif", None, 255, tmp_path / "b.json", rock=rock_of_box
    )
    for key in ("jitter_z", "jitter_plane_truth", "self_continuity_ratio", "euler_per_um3_truth", "mean_chord_x_nm"):
        assert found[key] == pytest.approx(box[key], nan_ok=True)


def test_a_predicted_volume_is_compared_where_it_was_predicted(tmp_path: Path) -> None:
    make_store(tmp_path / "patches")
    inside = rock(6)
    predict_volume(
        predictor(model("identity", sem_dtype="uint8", high=255.0)),
        Volume.of_array(seen_through(inside, CIRCLE, 0), SIZE),
        tmp_path / "p.ome.zarr",
    )
    io.write_tiff(tmp_path / "t.tif", inside.astype(np.uint8), SIZE)
    outputs = tmp_path / "v.json", tmp_path / "s.csv"
    chosen = MeasureSettings(thresholds=(LEVEL,), phases=2)
    measure_volume(tmp_path / "p.ome.zarr", tmp_path / "t.tif", tmp_path / "patches", chosen, *outputs)
    found = io.read_json(outputs[0])
    assert found["mae"] < 1 / 255
    assert found["fraction_0"] == pytest.approx(found["fraction_0_truth"], abs=0.005)
    assert found["measured_share"] == pytest.approx(CIRCLE.mean(), abs=0.06)  # less the pixels beside the constant
    assert found["two_point_error_x"] < 0.01
    outputs = tmp_path / "alone.json", tmp_path / "alone.csv"
    measure_volume(tmp_path / "p.ome.zarr", None, tmp_path / "patches", chosen, *outputs)
    alone = io.read_json(outputs[0])
    assert alone["self_continuity_ratio"] == pytest.approx(1, abs=0.15)  # with zeros around it was far below


@pytest.mark.parametrize("method", ["nearest", "area", "psf"])
@pytest.mark.parametrize("outside", [0, math.nan])
def test_a_coarser_volume_has_the_same_field_of_view(tmp_path: Path, method: str, outside: float) -> None:
    make_store(tmp_path / "patches")
    dtype = "uint16" if outside == 0 else "float32"
    fine = Volume.of_array(seen_through(rock(7, dtype), CIRCLE, outside), SIZE)
    downsample_volume(fine, 2, DownsampleSettings(method=method), tmp_path / "patches", tmp_path / "c.ome.zarr")
    coarse = io.open_volume(tmp_path / "c.ome.zarr")
    field = FieldOfView(coarse)
    inside = CIRCLE.reshape(32, 2, 36, 2).all(axis=(1, 3))
    for z, plane in enumerate(coarse.slices()):
        mask = field.of(plane, z)
        assert mask is not None
        assert not mask[~inside].any()
        assert mask[ndimage.binary_erosion(inside, np.ones((3, 3)), iterations=2)].all()


def test_the_value_outside_is_found_where_it_is_a_grey_level_too() -> None:
    """One slice's pores reach the circle in most places; the other slices tell that 0 is the value outside."""
    array = seen_through(rock(8, "uint8"), CIRCLE, 0)
    ring = CIRCLE & ~ndimage.binary_erosion(CIRCLE, iterations=4)
    array[4, ring & (Y % 8 < 6)] = 0
    array[4, 28:38, 30:40] = 0
    field = FieldOfView(Volume.of_array(array))
    assert measured(array[4])[0, 0]
    mask = field.of(array[4], 4)
    assert mask is not None
    assert not mask[~CIRCLE].any()


@pytest.mark.parametrize("outside", OUTSIDES)
def test_figures_draw_the_outside_as_outside(tmp_path: Path, outside: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections and phases show nothing there, and blocks of pores come from what all volumes have."""
    make_store(tmp_path / "patches")
    inside = rock(9)
    io.write_tiff(tmp_path / "txm.tif", seen_through(inside, CIRCLE, outside), SIZE)
    io.write_tiff(tmp_path / "truth.tif", np.rint(inside).astype(np.uint8), SIZE)
    loaded = predictor(model("identity", sem_dtype="uint8", high=255.0))
    predict_volume(loaded, io.open_volume(tmp_path / "txm.tif"), tmp_path / "p.ome.zarr")
    drawn: dict[str, list[Any]] = {}
    for module, name in ((sections, "draw_sections"), (phases, "draw_phases"), (pore_space, "draw_pore_space")):
        monkeypatch.setattr(module, name, lambda shown, *_, name=name: drawn.setdefault(name, shown))
        monkeypatch.setattr(module, "save", lambda *_: None)
    predicted, truth, txm = (tmp_path / name for name in ("p.ome.zarr", "truth.tif", "txm.tif"))
    store, outputs = tmp_path / "patches/store.json", [tmp_path / "f.png"]
    sections.sections_figure("net", txm, None, predicted, truth, store, SectionsStyle(), CommonStyle(), outputs)
    for section, whole in zip(drawn["draw_sections"], (False, False, True), strict=True):
        assert np.isfinite(section.xy[~CIRCLE]).all() == whole
        assert np.isfinite(section.xy[CIRCLE]).mean() > 0.9
    chosen = MeasureSettings(thresholds=(LEVEL,), phases=2)
    for draw, style in ((phases.phases_figure, PhasesStyle()), (pore_space.pore_space_figure, PoreSpaceStyle())):
        draw([predicted], ["net"], truth, store, chosen, style, CommonStyle(), outputs)  # type: ignore[operator]
    of_truth, of_net = drawn["draw_phases"]
    assert of_truth.measured is None
    assert not of_net.measured[~CIRCLE].any()
    assert of_net.note == "pore Dice 1.00"
    blocks = [space.pore for space in drawn["draw_pore_space"]]
    assert np.array_equal(*blocks)
    assert 0 < blocks[0].mean() < 1


def test_the_viewer_takes_its_grey_levels_from_what_was_measured(tmp_path: Path) -> None:
    inside = rock(10)
    found = []
    for name, array in (("whole", inside), ("part", seen_through(inside, CIRCLE, -5000))):
        io.write_tiff(tmp_path / f"{name}.tif", array, SIZE)
        shown = embed_volumes([Source("TXM", "txm", tmp_path / f"{name}.tif")], (0.0, 255.0), SIZE, 1e6)
        assert shown is not None
        found.append((shown["volumes"][0]["low"], shown["volumes"][0]["high"]))
    np.testing.assert_allclose(found[0], found[1], atol=15)
