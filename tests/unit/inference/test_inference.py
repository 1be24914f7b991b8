"""Tiles against whole planes, identity networks, voxel sizes and dtypes of the output, and failures in the middle."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from small_data import VOXEL_SIZE_NM, make_store, sharp
from small_models import model, plane, predictor

from txm2sem_core import io
from txm2sem_core.checkpoint import LoadedModel, load_model, save_model
from txm2sem_core.config import ComputeSettings, PredictSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.inference import Predictor, predict_test, predict_volume
from txm2sem_core.io import Volume
from txm2sem_core.networks import ImageGenerator
from txm2sem_core.networks.resnet import ResNet

# --- tiles against one whole plane


@pytest.mark.parametrize(
    ("name", "options", "size", "tile"),
    [
        ("linearfilt", {}, (61, 70), 20),
        ("gammafilt", {}, (61, 70), 20),
        ("resnet_1blocks", {"width": 8}, (130, 99), 36),
        ("resnet_2blocks", {"width": 8, "norm": "none"}, (130, 99), 36),
        ("resnet_1blocks", {"width": 8, "in_channels": 3}, (101, 99), 40),
        ("resnet_6blocks", {"width": 2}, (250, 200), 64),
        ("resnet_9blocks", {"width": 2}, (330, 260), 64),
        ("unet_32", {"width": 2}, (250, 230), 40),
        ("unet_64", {"width": 2}, (600, 448), 64),
        ("residual_unet", {"width": 4}, (250, 230), 40),
        pytest.param(  # slow: its halo of 381 pixels wants a large plane, which is read nearly whole for every tile
            "unet_128", {"width": 1}, (1100, 900), 128, marks=pytest.mark.slow
        ),
        ("sr_resnet_1blocks", {"width": 8, "factor": 2}, (61, 70), 20),
        ("sr_resnet_6blocks", {"width": 8, "factor": 4}, (90, 70), 24),
        ("bicubic", {"factor": 2}, (61, 70), 20),
    ],
)
def test_tiles_give_what_the_whole_plane_gives(
    name: str, options: dict[str, Any], size: tuple[int, int], tile: int
) -> None:
    loaded = model(name, **options)
    txm = plane(options.get("in_channels", 1), *size)
    whole = predictor(loaded, 10_000).predict_plane(txm)
    tiled = predictor(loaded, tile).predict_plane(txm)
    factor = options.get("factor", 1)
    assert whole.shape == (size[0] * factor, size[1] * factor)
    assert whole.std() > 0.01  # a comparison of something
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("resnet_1blocks", {"width": 4, "norm": "instance"}),
        ("unet_32", {"width": 4, "norm": "instance"}),
        ("resnet_1blocks", {"width": 8, "mode": "batch_statistics"}),
    ],
)
def test_what_normalises_by_the_plane_is_given_whole_planes_and_says_so(
    tmp_path: Path, name: str, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    loaded, txm = model(name, **options), plane(3, 90, 80)
    whole = predictor(loaded).predict_plane(txm[:1])
    np.testing.assert_array_equal(predictor(loaded, 24).predict_plane(txm[:1]), whole)
    predict_volume(predictor(loaded, 24), Volume.of_array(txm, (1.0, 1.0, 1.0)), tmp_path / "v.ome.zarr")
    assert "tile_px = 24 is not used" in capsys.readouterr().err
    (warning,) = zarr.open_group(tmp_path / "v.ome.zarr", mode="r").attrs["txm2sem"]["warnings"]
    assert "statistics of the whole plane" in warning


# --- precision, memory format, compilation

HALF_TOLERANCE = 0.02  # of the spread of what is predicted, root mean square


def computing(loaded: LoadedModel, device: str = "cpu", **compute: Any) -> Predictor:
    return Predictor(loaded, PredictSettings(tile_px=48, overlap_px=16, compute=ComputeSettings(**compute)), device)


def off(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference, as a share of the spread."""
    return float(np.sqrt(np.square(found - expected).mean()) / expected.std())


@pytest.mark.parametrize("name", ["resnet_2blocks", "sr_resnet_2blocks", "unet_32"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_bfloat16_predicts_nearly_the_same(name: str, channels_last: bool) -> None:
    loaded, txm = model(name, width=8, factor=2 if "sr" in name else 1), plane(1, 90, 100)
    made = computing(loaded, precision="bfloat16", channels_last=channels_last).predict_plane(txm)
    expected = computing(loaded).predict_plane(txm)
    assert made.dtype == np.float32
    assert 1e-4 < off(made, expected) < HALF_TOLERANCE  # it was used
    patches = plane(3, 1, 64, 64)
    made = computing(loaded, precision="bfloat16", channels_last=channels_last).predict_patches(patches)
    assert off(made, computing(loaded).predict_patches(patches)) < HALF_TOLERANCE


@pytest.mark.parametrize("name", ["resnet_2blocks", "sr_resnet_2blocks", "unet_32"])
def test_the_memory_format_changes_nothing_but_rounding(name: str) -> None:
    loaded, txm = model(name, width=8, factor=2 if "sr" in name else 1), plane(1, 90, 100)
    expected = computing(loaded).predict_plane(txm)
    np.testing.assert_allclose(computing(loaded, channels_last=True).predict_plane(txm), expected, atol=1e-5)


@pytest.mark.slow  # building C++ code for a network takes half a minute
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on the CPU")
def test_a_compiled_network_predicts_the_same() -> None:
    loaded, txm = model("resnet_1blocks", width=8), plane(1, 90, 100)
    compiled = computing(loaded, compile=True)
    assert compiled.planes_at_once(90, 100) == 1  # one at a time builds it
    np.testing.assert_allclose(compiled.predict_plane(txm), computing(loaded).predict_plane(txm), atol=1e-4)


def test_a_volume_says_how_precisely_it_was_computed_and_is_not_mixed(tmp_path: Path) -> None:
    loaded, txm = model("resnet_1blocks", width=8, high=1000.0), Volume.of_array(plane(20, 40, 40) * 1000)
    target = tmp_path / "v.ome.zarr"
    predict_volume(computing(loaded), txm, target, slab=(1, 2))
    made = predict_volume(computing(loaded, precision="bfloat16"), txm, target)
    assert made.made == 2  # the unit of the other precision is none of its own
    assert zarr.open_group(target, mode="r").attrs["txm2sem"]["precision"] == "bfloat16"  # type: ignore[call-overload,index]


def test_float16_is_refused_without_a_gpu() -> None:
    with pytest.raises(ConfigError, match=r"compute\.precision: float16 needs a GPU, this is cpu"):
        computing(model("resnet_1blocks", width=8), precision="float16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", ["resnet_2blocks", "sr_resnet_2blocks", "unet_32"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_gpu_predicts_nearly_the_same(name: str, precision: str) -> None:
    loaded, txm = model(name, width=8, factor=2 if "sr" in name else 1), plane(1, 90, 100)
    expected = computing(loaded).predict_plane(txm)
    for channels_last in (False, True):
        made = computing(loaded, "cuda", precision=precision, channels_last=channels_last).predict_plane(txm)
        assert off(made, expected) < HALF_TOLERANCE


@pytest.mark.parametrize("overlap", [0, 1, 9, 200])
def test_the_overlap_does_not_matter_to_a_network_of_finite_reach(overlap: int) -> None:
    loaded, txm = model("resnet_1blocks", width=8), plane(1, 90, 80)
    whole = predictor(loaded, 10_000).predict_plane(txm)
    np.testing.assert_allclose(predictor(loaded, 24, overlap).predict_plane(txm), whole, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (31, 33), (64, 64), (65, 40)])
def test_planes_of_any_size(size: tuple[int, int]) -> None:
    for name in ("resnet_1blocks", "unet_32", "sr_resnet_1blocks"):
        predicted = predictor(model(name, width=2)).predict_plane(plane(1, *size))
        assert predicted.shape == size
        assert np.isfinite(predicted).all()


def test_a_plane_of_fitting_size_is_what_the_network_gives() -> None:
    loaded, txm = model("resnet_1blocks", width=8), plane(1, 40, 48)
    with torch.no_grad():
        expected = loaded.generator(torch.from_numpy(txm)[None])[0, 0].numpy()
    np.testing.assert_allclose(predictor(loaded).predict_plane(txm), expected, atol=1e-6)
    np.testing.assert_allclose(predictor(loaded).predict_patches(txm[None])[0], expected, atol=1e-6)


def test_padding_does_not_reach_further_than_the_network() -> None:
    loaded, txm = model("resnet_1blocks", width=8), plane(1, 64, 64)
    radius = loaded.generator.receptive_radius_px
    odd, even = (predictor(loaded).predict_plane(txm[:, :n, :n]) for n in (61, 64))
    inner = slice(0, 61 - radius)
    np.testing.assert_allclose(odd[inner, inner], even[inner, inner], atol=1e-5)


class Derived(ResNet):
    """A network of a user's, which can be computed whole or by tiles alone."""


def test_the_automatic_tile_is_the_whole_plane_where_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, txm = model("resnet_1blocks", width=8), plane(1, 400, 420)
    loaded.generator.__class__ = Derived
    whole = predictor(loaded).predict_plane(txm)
    monkeypatch.setenv("TXM2SEM_MEMORY_GIB", str(4 * 5 * 8 * 380**2 / 2**30))
    sizes: list[int] = []
    loaded.generator.register_forward_pre_hook(lambda _, inputs: sizes.append(max(inputs[0].shape[2:])))
    tiled = predictor(loaded).predict_plane(txm)
    assert len(sizes) > 1
    assert max(sizes) <= 384  # the budget's 380, rounded to the network's multiple
    np.testing.assert_allclose(tiled, whole, atol=1e-5)


@pytest.mark.parametrize("mode", ["evaluation", "batch_statistics"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("name", "factor"), [("unet_32", 1), ("resnet_1blocks", 1), ("sr_resnet_1blocks", 2)])
def test_by_rows_a_plane_is_what_it_is_at_once(
    name: str, factor: int, norm: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, txm = model(name, width=8, factor=factor, norm=norm, mode=mode), plane(1, 203, 130)
    at_once = predictor(loaded).predict_plane(txm)
    monkeypatch.setenv("TXM2SEM_MEMORY_GIB", "0.002")
    chosen = predictor(loaded)
    monkeypatch.setattr(chosen.planes, "run", None)  # the whole network is never called
    np.testing.assert_allclose(chosen.predict_plane(txm), at_once, atol=1e-5)


def test_a_tile_that_is_asked_for_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, txm = model("resnet_1blocks", width=8), plane(1, 203, 130)
    monkeypatch.setenv("TXM2SEM_MEMORY_GIB", "0.002")
    sizes: list[int] = []
    loaded.generator.register_forward_pre_hook(lambda _, inputs: sizes.append(max(inputs[0].shape[2:])))
    predictor(loaded, tile=64).predict_plane(txm)
    assert len(sizes) > 1


def test_the_memory_of_a_plane_does_not_change_what_is_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the identity by which a volume goes on, or is left as it is."""
    loaded = model("resnet_1blocks", width=8)
    before = predictor(loaded).identity()
    monkeypatch.setenv("TXM2SEM_MEMORY_GIB", "0.5")
    assert predictor(loaded).identity() == before


# --- modes


def test_batch_statistics_are_the_plane_s_own_and_leave_the_network_alone() -> None:
    txm = plane(1, 40, 48)
    outputs = {}
    for mode in ("evaluation", "batch_statistics"):
        loaded = model("resnet_1blocks", width=8, mode=mode)
        before = {key: value.clone() for key, value in loaded.generator.state_dict().items()}
        outputs[mode] = predictor(loaded).predict_plane(txm)
        assert all(torch.equal(value, before[key]) for key, value in loaded.generator.state_dict().items())
        assert not loaded.generator.training
    assert np.abs(outputs["evaluation"] - outputs["batch_statistics"]).max() > 0.01


def test_dropout_at_test_time_is_repeatable() -> None:
    loaded = model("resnet_1blocks", width=8, dropout=True, mode="batch_statistics")
    txm = plane(1, 40, 48)
    one, same = (predictor(loaded).predict_plane(txm) for _ in range(2))
    np.testing.assert_array_equal(one, same)


# --- volumes


def outputs(folder: Path) -> list[Path]:
    return [folder / "out.ome.zarr", folder / "out.tif"]


def predict_both(loaded: LoadedModel, source: Volume, folder: Path, tile: int = 0, **options: Any) -> list[Volume]:
    for output in outputs(folder):
        predict_volume(predictor(loaded, tile), source, output, **options)
    return [io.open_volume(output) for output in outputs(folder)]


@pytest.mark.parametrize("tile", [0, 24])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_identity_network_gives_the_input_back(tmp_path: Path, dtype: str, tile: int) -> None:
    source = sharp((19, 53, 70), 0, np.dtype(dtype).type)
    top = float(np.iinfo(dtype).max)
    loaded = model("identity", sem_dtype=dtype, high=top)
    for volume in predict_both(loaded, Volume.of_array(source, VOXEL_SIZE_NM), tmp_path, tile):
        assert (volume.shape, volume.dtype, volume.voxel_size_nm) == (source.shape, np.dtype(dtype), VOXEL_SIZE_NM)
        np.testing.assert_array_equal(volume.read(0, 19), source)


def test_super_resolution_has_finer_voxels_and_sixteen_bits_in_may_be_eight_out(tmp_path: Path) -> None:
    loaded = model("bicubic", factor=2, sem_dtype="uint8", high=255.0)
    loaded.description["normalisation"]["txm"] = {"low": -65535.0, "high": 65535.0}
    source = sharp((3, 24, 20), 0, np.uint16)
    z_nm, y_nm, x_nm = VOXEL_SIZE_NM
    for volume in predict_both(loaded, Volume.of_array(source, VOXEL_SIZE_NM), tmp_path):
        assert (volume.shape, volume.dtype) == ((3, 48, 40), np.uint8)
        assert volume.voxel_size_nm == (z_nm, y_nm / 2, x_nm / 2)
        means = volume.read(0, 3).astype(float).reshape(3, 24, 2, 20, 2).mean(axis=(2, 4))
        assert np.corrcoef(means.ravel(), source.ravel())[0, 1] > 0.95


def test_both_formats_hold_the_same_voxels(tmp_path: Path) -> None:
    loaded = model("resnet_1blocks", width=8, high=20000.0, sem_dtype="int16")
    source = Volume.of_array(plane(5, 40, 44) * 20000)
    zarr_volume, tiff_volume = predict_both(loaded, source, tmp_path)
    assert zarr_volume.read(0, 5).std() > 100
    np.testing.assert_array_equal(zarr_volume.read(0, 5), tiff_volume.read(0, 5))


def test_the_voxel_size_that_is_given_stands_above_the_file_s(tmp_path: Path) -> None:
    loaded, source = model("identity"), Volume.of_array(np.ones((2, 16, 16), np.uint16), VOXEL_SIZE_NM)
    for volume in predict_both(loaded, source, tmp_path, voxel_size_nm=(7.0, 5.0, 3.0)):
        assert volume.voxel_size_nm == (7, 5, 3)


def test_an_unknown_voxel_size_stays_unknown(tmp_path: Path) -> None:
    zarr_volume, tiff_volume = predict_both(
        model("identity"), Volume.of_array(np.ones((2, 16, 16), np.uint16)), tmp_path
    )
    assert zarr_volume.voxel_size_nm == (None, None, None)
    assert tiff_volume.voxel_size_nm is None


@pytest.mark.parametrize("context", [1, 2])
def test_a_slice_is_predicted_with_its_neighbours_and_the_ends_are_repeated(tmp_path: Path, context: int) -> None:
    source = plane(6, 20, 22)
    loaded = model("linearfilt", in_channels=2 * context + 1, sem_dtype="float32")
    predict_volume(predictor(loaded), Volume.of_array(source), tmp_path / "v.tif")
    predicted = io.open_volume(tmp_path / "v.tif").read(0, 6)
    for z in range(6):
        channels = source[np.clip(np.arange(z - context, z + context + 1), 0, 5)]
        np.testing.assert_allclose(predicted[z], predictor(loaded).predict_plane(channels), atol=1e-6)


def test_clipped_voxels_are_counted_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = model("identity", sem_dtype="uint8", high=1000.0)
    source = np.random.default_rng(0).integers(1, 200, (2, 16, 16)).astype(np.uint16)
    source[1, 2:5, 3:8] = 900
    result = predict_volume(predictor(loaded), Volume.of_array(source), tmp_path / "v.tif", name="rock")
    assert result.clipped == 15
    assert "predict rock: 15 voxels were clipped to uint8" in capsys.readouterr().err
    assert io.open_volume(tmp_path / "v.tif").read(1, 2).max() == 255


@pytest.mark.parametrize("name", ["v.png", "v", "v.raw"])
def test_another_suffix_is_refused_before_anything_is_computed(tmp_path: Path, name: str) -> None:
    def read(z0: int, z1: int) -> np.ndarray:
        raise AssertionError("nothing should be read")

    source = Volume((2, 16, 16), np.dtype(np.uint8), None, "source", read)
    with pytest.raises(ConfigError, match=r"must end in \.ome\.zarr or \.tif"):
        predict_volume(predictor(model("identity")), source, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["v.ome.zarr", "v.tif"])
def test_a_source_that_breaks_in_the_middle_leaves_the_earlier_result(tmp_path: Path, name: str) -> None:
    whole = Volume.of_array(np.full((20, 16, 16), 5, np.uint16))
    predict_volume(predictor(model("identity", high=100.0)), whole, tmp_path / name)

    def read(z0: int, z1: int) -> np.ndarray:
        if z0 <= 17 < z1:
            raise InputError("slice 17 is broken")
        return np.zeros((z1 - z0, 16, 16), np.uint16)

    broken = Volume((20, 16, 16), np.dtype(np.uint16), None, "source", read)
    with pytest.raises(InputError, match="slice 17"):
        predict_volume(predictor(model("identity", high=100.0)), broken, tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    assert (io.open_volume(tmp_path / name).read(0, 20) == 5).all()


class MeanOfTheTile(ImageGenerator):
    """Gives the mean of whatever it is given: a network that sees further than any tile."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3), keepdim=True).expand_as(x)


def test_the_overlap_blends_tiles_that_differ_from_one_another() -> None:
    generator = MeanOfTheTile(in_channels=1, out_channels=1, receptive_radius_px=0)
    loaded = LoadedModel(generator, model("identity").description)
    ramp = np.linspace(-1, 1, 192, dtype=np.float32) * np.ones((1, 8, 1), np.float32)
    steps = {}
    for overlap in (0, 32):
        row = predictor(loaded, 64, overlap).predict_plane(ramp)[4]
        assert row[-1] - row[0] == pytest.approx(2 / 3 * 2, abs=0.2)  # between the means of the outer thirds
        steps[overlap] = np.abs(np.diff(row)).max()
    assert steps[0] == pytest.approx(2 / 3, abs=0.02)
    assert steps[32] < steps[0] / 30


# --- test patches


def save(loaded: LoadedModel, store: io.PatchStore, folder: Path) -> LoadedModel:
    ranges = {"txm": store.txm_range.as_dict(), "sem": store.sem_range.as_dict()}
    description = {**loaded.description, "normalisation": ranges, "sem_dtype": store.sem_dtype.name}
    save_model(folder, loaded.generator, description)
    return load_model(folder)


@pytest.mark.parametrize(("name", "factor", "context"), [("resnet_1blocks", 1, 0), ("sr_resnet_1blocks", 2, 1)])
def test_test_patches_and_slices(tmp_path: Path, name: str, factor: int, context: int) -> None:
    store = make_store(tmp_path / "p", factor=factor, context=context, dtype=np.uint16)
    options = {"width": 8, "in_channels": 2 * context + 1, "factor": factor}
    loaded = save(model(name, **options), store, tmp_path / "m")
    predict_test(predictor(loaded), tmp_path / "p", tmp_path / "out")
    patches = io.open_volume(tmp_path / "out/patches.tif")
    rows = store.of_split("test")
    assert (patches.shape, patches.dtype) == ((len(rows), 32, 32), np.float32)
    for number, row in enumerate(rows.to_dict("records")):
        unit = store.txm_range.to_unit(store.txm_patch(row["pair"], row["y"], row["x"], context))
        with torch.no_grad():
            expected = store.sem_range.from_unit(loaded.generator(torch.from_numpy(unit)[None])[0, 0].numpy())
        np.testing.assert_allclose(patches.read(number, number + 1)[0], expected, rtol=1e-4, atol=1)
    slices = io.list_images(tmp_path / "out/slices")
    assert [file.stem for file in slices] == list(rows["pair"].unique())
    whole = io.read_image(slices[0])
    assert (whole.shape, whole.dtype) == ((72, 80), np.uint16)
    assert io.read_voxel_size_nm(slices[0]) == VOXEL_SIZE_NM


def test_a_model_of_another_factor_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "p")
    with pytest.raises(InputError, match="the patches' factor is 1, the model's 2"):
        predict_test(predictor(model("bicubic", factor=2)), tmp_path / "p", tmp_path / "out")


def test_a_store_with_less_context_than_the_model_needs_is_refused(tmp_path: Path) -> None:
    make_store(tmp_path / "p", context=1)
    loaded = model("linearfilt", in_channels=5)
    with pytest.raises(InputError, match="context"):
        predict_test(predictor(loaded), tmp_path / "p", tmp_path / "out")


def test_devices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="device: 'gpu' is not there"):
        Predictor(model("identity"), PredictSettings(), "gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"'cuda' is not there\. Choose auto or one of cpu"):
            Predictor(model("identity"), PredictSettings(), "cuda")


def test_intensities_that_the_model_never_saw_are_reported_and_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eight_bit = np.random.default_rng(0).integers(0, 255, (3, 40, 40)).astype(np.uint8)
    trained_on_16_bit = model("identity", high=20000.0)
    trained_on_16_bit.description["normalisation"]["txm"] = {"low": 8000.0, "high": 40000.0}
    target = tmp_path / "v.ome.zarr"
    predict_volume(predictor(trained_on_16_bit), Volume.of_array(eight_bit, (1.0, 1.0, 1.0)), target)
    assert "100% of slice z = 1" in capsys.readouterr().err
    (warning,) = zarr.open_group(target, mode="r").attrs["txm2sem"]["warnings"]
    assert "8000 to 40000" in warning
    predict_volume(predictor(model("identity")), Volume.of_array(plane(3, 40, 40)), target)
    assert "the voxel size along z, y, x is not known" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["resnet_2blocks", "unet_32"])
def test_no_seam_can_be_measured_across_tile_borders(name: str) -> None:
    """The mean gradient across the borders of tiles against that everywhere else, on a field of noise."""
    tile = 64
    loaded = model(name, width=8)
    whole = predictor(loaded, tile=tile).predict_plane(plane(1, 256, 256))
    gradient = np.abs(np.diff(whole, axis=1)).mean(axis=0)
    at_borders = np.zeros(len(gradient), dtype=bool)
    at_borders[[n - 1 for n in range(tile, 256, tile)]] = True
    spread = gradient[~at_borders].std()
    assert abs(gradient[at_borders].mean() - gradient[~at_borders].mean()) < 3 * spread / np.sqrt(at_borders.sum())
