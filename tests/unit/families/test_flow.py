"""Samples: an exact flow, a flow that is trained, its noise by position, and planes, tiles, slabs of one sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from small_data import blurred, make_store, sharp
from small_models import plane
from small_volumes import digests, make_source
from torch import Tensor
from training_cases import settings_of

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model, save_model
from txm2sem_core.config import PatchesSettings, PredictSettings
from txm2sem_core.config.fitting import check_networks
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families import Batch, learner_of
from txm2sem_core.families.flow_noise import (
    Drawn,
    changes_in_plane,
    draw_patches,
    fit_flatness,
    grey_levels,
    relative_changes,
)
from txm2sem_core.families.voxel_noise import VoxelNoise, filter_along_z
from txm2sem_core.inference import Predictor, load_ensemble, predict_volume
from txm2sem_core.inference.coherence import expected_along_z, fit_coherence, txm_changes
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.networks import Flow, build_generator
from txm2sem_core.networks.flow import MOST_LAG
from txm2sem_core.networks.total_variation import flattened
from txm2sem_core.training import train_model

CPU = torch.device("cpu")
UNIT = {"low": -1.0, "high": 1.0}


def flow(steps: int = 3, name: str = "residual_unet", in_channels: int = 2) -> Flow:
    network = build_generator(name, in_channels=in_channels, width=4, flow_steps=steps, seed=0)
    assert isinstance(network, Flow)
    return network


# --- the integration


@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 0.5), (0.7, 0.3), (-1.0, 2.0)])
def test_a_normal_distribution_whose_velocity_is_known(mean: float, deviation: float) -> None:
    """Noise becomes mean + deviation * noise; the error falls with the square of their number.

    Of residuals N(m, s^2) the velocity is m + (t s^2 - (1 - t)) / ((1 - t)^2 + t^2 s^2) (x - t m).
    """

    def velocity(x: Tensor) -> Tensor:
        state, t = x[:, :1], x[:, 2:3]
        slope = (t * deviation**2 - (1 - t)) / ((1 - t) ** 2 + (t * deviation) ** 2)
        return mean + slope * (state - t * mean)

    noise = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs = torch.cat([torch.zeros_like(noise), noise], dim=1)
    errors = []
    for steps in (32, 64):
        network = flow(steps).double()
        network.residual_scale.fill_(0.25)
        made = network.sample(inputs, lambda txm: txm + 0.1, velocity)
        errors.append(float((made - 0.1 - 0.25 * (mean + deviation * noise)).abs().max()))
    assert errors[1] < 2e-4
    assert errors[0] > 3.5 * errors[1]


def test_what_the_parts_are_given() -> None:
    network = flow(steps=2, in_channels=4)
    calls: list[tuple[int, ...]] = []

    def velocity(x: Tensor) -> Tensor:
        calls.append(tuple(x.shape))
        return torch.zeros_like(x[:, :1])

    inputs = torch.randn(2, 4, 16, 16)
    made = network.sample(inputs, lambda txm: txm.sum(dim=1, keepdim=True), velocity)
    assert calls == [(2, 6, 16, 16)] * 4  # two a step, of state, mean, time and three TXM slices
    torch.testing.assert_close(made, inputs[:, :3].sum(dim=1, keepdim=True) + inputs[:, 3:])


@pytest.mark.parametrize(
    "options", [{"factor": 2, "name": "sr_resnet_1blocks"}, {"out_channels": 3}, {"in_channels": 1}]
)
def test_what_no_flow_can_be_is_refused(options: dict[str, object]) -> None:
    chosen = {"name": "residual_unet", "in_channels": 2, **options}
    with pytest.raises(ConfigError, match="flow_steps: with in_channels"):
        build_generator(**chosen, flow_steps=4)  # type: ignore[arg-type]


# --- training


def coin_batch(random: torch.Generator) -> Batch:
    """FIB-SEM patches of two grey levels, which the TXM tells nothing of."""
    sem = torch.where(torch.rand(8, 1, 16, 16, generator=random) < 0.3, -0.5, 0.5)
    return Batch(torch.rand(sem.shape, generator=random), sem, torch.ones_like(sem, dtype=torch.bool))


def test_samples_have_the_distribution_and_the_mean_its_mean() -> None:
    """Of a coin with two sides the mean is neither; samples are, in the right shares."""
    settings = settings_of("flow", "residual_unet", optimiser={"learning_rate": 5e-3}, ema_decay=0.98, pixel_loss="L2")
    learner = learner_of(settings, 0, CPU)
    learner.generator.train()
    random = torch.Generator().manual_seed(1)
    for _ in range(400):
        learner.step(coin_batch(random))
    network = learner.kept_generator.eval()
    assert isinstance(network, Flow)
    assert float(network.residual_scale) == pytest.approx(math.sqrt(0.21), rel=0.1)
    with torch.no_grad():
        txm = torch.rand(1, 1, 64, 64, generator=random)
        mean = network.mean(txm)
        network.steps = 16
        made = network(torch.cat([txm, torch.randn(txm.shape, generator=random)], dim=1))
    assert mean.std() < 0.1
    assert float(mean.mean()) == pytest.approx(0.2, abs=0.1)  # 0.7 * 0.5 - 0.3 * 0.5
    assert float((made.abs() > 0.25).float().mean()) > 0.75  # one side or the other
    assert float((made < 0).float().mean()) == pytest.approx(0.3, abs=0.07)


def test_each_part_has_the_gradient_of_its_own_loss() -> None:
    """The mean is not drawn from its own by the flow: without a pixel loss it has no gradient."""
    learner = learner_of(settings_of("flow", "residual_unet", pixel_weight=0.0), 0, CPU)
    before = {key: value.clone() for key, value in learner.generator.state_dict().items()}
    learner.step(coin_batch(torch.Generator().manual_seed(0)))
    after = learner.generator.state_dict()
    moved = {key for key, value in before.items() if "weight" in key and not torch.equal(value, after[key])}
    assert moved
    assert all(key.startswith("velocity.") for key in moved)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"z_penalty": {"perturbation": 0.1}}, "z_penalty must be 0 for family flow"),
        ({"factor": 2}, "factor must be 1"),
    ],
)
def test_settings_without_use_are_refused(options: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        settings_of("flow", "residual_unet", **options)


@pytest.mark.parametrize(
    ("name", "size_px", "fits"), [("linearfilt", 30, False), ("linearfilt", 32, True), ("unet_32", 48, False)]
)
def test_patches_must_fit_both_networks(name: str, size_px: int, fits: bool) -> None:
    settings, patches = settings_of("flow", name), PatchesSettings(size_px=size_px, grid_px=2)
    network = build_generator(name, in_channels=2, flow_steps=2)
    if fits:
        check_networks("v", settings, patches)
        network.check_size(size_px, size_px)
        return
    with pytest.raises(ConfigError, match=f"cannot take patches of {size_px}"):
        check_networks("v", settings, patches)
    with pytest.raises(InputError, match=f"{size_px} x {size_px}"):
        network.check_size(size_px, size_px)


# --- noise


def test_noise_follows_from_sample_and_position_alone() -> None:
    whole = VoxelNoise(3, 1.5).plane(7, 0, 0, 30, 40)
    np.testing.assert_array_equal(VoxelNoise(3, 1.5).plane(7, 5, 9, 10, 20), whole[5:15, 9:29])
    noise = VoxelNoise(3, 1.5)
    for z in (2, 6, 7):  # whatever came before
        after = noise.plane(z, 0, 0, 30, 40)
    np.testing.assert_array_equal(after, whole)
    assert abs(np.corrcoef(whole.ravel(), VoxelNoise(4, 1.5).plane(7, 0, 0, 30, 40).ravel())[0, 1]) < 0.1


def test_noise_is_the_same_everywhere_and_for_ever() -> None:
    """Numbers that a sample which was published depends on."""
    first, smoothed = VoxelNoise(1, 0.0).plane(0, 0, 0, 2, 2), VoxelNoise(2, 0.5).plane(-3, 5, 7, 2, 2)
    np.testing.assert_allclose(first, [[-1.723101, -0.797088], [0.565388, 0.826610]], atol=1e-6)
    np.testing.assert_allclose(smoothed, [[-0.211790, 0.404536], [0.080678, -0.442570]], atol=1e-6)


@pytest.mark.parametrize("coherence", [0.0, 0.2, 1.0])
def test_a_plane_is_white_and_coarse_noise_stays_for_longer(coherence: float) -> None:
    noise = VoxelNoise(1, coherence)
    slices = np.stack([noise.plane(z, 0, 0, 128, 128) for z in range(12)])
    assert slices.std() == pytest.approx(1, abs=0.03)
    assert slices.mean() == pytest.approx(0, abs=0.03)
    for axis in (1, 2):
        moved = np.moveaxis(slices, axis, 0)
        for lag in (1, 2, 5):
            assert (moved[lag:] * moved[:-lag]).mean() == pytest.approx(0, abs=0.03)
    fine, coarse = ((one[1:] * one[:-1]).mean() / (one**2).mean() for one in (slices, blocks(slices, 16)))
    if coherence:
        assert coarse > fine + 0.02
    else:
        assert (fine, coarse) == pytest.approx((0, 0), abs=0.06)


def blocks(slices: np.ndarray, side: int) -> np.ndarray:
    """Means of squares of so many pixels, of unit variance again."""
    depth, height, width = slices.shape
    return slices.reshape(depth, height // side, side, width // side, side).mean(axis=(2, 4)) * side


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.5, 3.0, 1e3])
def test_the_filter_leaves_the_variance_as_it_is(sigma: float) -> None:
    assert (filter_along_z(sigma) ** 2).sum() == pytest.approx(1)


# --- how far the noise holds together


def still(network: Flow, scale: float) -> Flow:
    """A flow whose samples are its noise times `scale`."""
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    network.residual_scale.fill_(scale)
    return network.eval()


def test_the_change_over_a_distance() -> None:
    """Of a slope along y it is the distance there, and nothing along x; a part that does not count is not seen."""
    slope = np.repeat(np.arange(20, dtype=np.float32)[:, None], 30, axis=1)
    for distance in (1.0, 1.5, 2.0, 5.0):
        assert changes_in_plane(slope, distance, 1.0) == pytest.approx((distance, 0))
        assert changes_in_plane(slope.T, distance, 2.0) == pytest.approx((0, 2 * distance))
    broken = slope.copy()
    broken[:5] = 1e6
    assert changes_in_plane(broken, 2.0, 1.0, broken < 1e5) == pytest.approx((2, 0))


def test_patches_change_by_so_much_more_than_samples_of_them(tmp_path: Path) -> None:
    """Samples that are white noise of deviation s change by 2 s / sqrt(pi) over every distance."""
    store = make_store(tmp_path / "p")
    found = relative_changes(draw_patches(still(flow(), 0.3), store, 0, "evaluation"), store.voxel_size_nm)
    rows = store.of_split("train").to_dict("records")
    patches = [(r["pair"], r["y"], r["x"]) for r in rows]
    for lag in (1, 3):
        true = [
            np.mean(changes_in_plane(store.sem_range.to_unit(store.sem_patch(*p)), lag, 2.0, store.mask_patch(*p) > 0))
            for p in patches
        ]
        assert found[lag - 1] == pytest.approx(np.mean(true) / (2 * 0.3 / np.sqrt(np.pi)), rel=0.05)
    assert len(found) == MOST_LAG


def test_patches_of_all_training_slices_are_drawn(tmp_path: Path) -> None:
    store = make_store(tmp_path / "p", train=8)
    drawn = draw_patches(still(flow(), 0.3), store, 0, "evaluation")
    rows = store.of_split("train")
    last = rows.iloc[-1]
    assert len(drawn) == len(rows)
    np.testing.assert_array_equal(
        drawn[-1].true, store.sem_range.to_unit(store.sem_patch(last["pair"], last["y"], last["x"]))
    )


@given(
    st.integers(0, 2**31),
    st.floats(0.05, 0.5),
    st.sampled_from([lambda x: x, np.square, np.sin, np.sign, lambda x: 0 * x]),
)
def test_mapped_samples_have_the_grey_levels_of_the_patches(
    seed: int, width: float, form: Callable[[np.ndarray], np.ndarray]
) -> None:
    """Whatever both distributions are, as far as the knots go; what is not counted has no say."""
    rng = np.random.default_rng(seed)
    made = (width * rng.standard_normal((128, 128))).astype(np.float32)
    true = (0.5 * form(rng.standard_normal((128, 128)))).astype(np.float32)
    counted = rng.random((128, 128)) < 0.9
    drawn = Drawn(np.where(counted, true, 9).astype(np.float32), made, counted)
    network = flow()
    network.grey_levels.copy_(torch.from_numpy(grey_levels([drawn])))
    mapped = network.mapped(torch.from_numpy(made)).numpy()
    shares = np.linspace(0.02, 0.98, 25)
    reached = np.quantile(mapped[counted], shares)
    between = [np.quantile(true[counted], np.clip(shares + d, 0, 1)) for d in (-0.02, 0.02)]  # a knot off at most
    assert (reached >= between[0] - 1e-3).all()
    assert (reached <= between[1] + 1e-3).all()
    order = np.argsort(made, axis=None)
    assert (np.diff(mapped.ravel()[order]) >= -1e-6).all()


def test_an_untrained_flow_maps_each_grey_level_to_itself() -> None:
    image = torch.linspace(-3, 3, 101)
    torch.testing.assert_close(flow().mapped(image), image)


@given(st.integers(0, 2**31), st.floats(0.0, 0.15))
def test_samples_are_made_as_flat_as_the_patches(seed: int, left: float) -> None:
    """Of steps between flat parts, and samples of them to which so much noise was added."""
    rng = np.random.default_rng(seed)
    steps = np.repeat(np.repeat(rng.uniform(-1, 1, (8, 8)), 12, axis=0), 12, axis=1)
    true = (steps + 0.01 * rng.standard_normal(steps.shape)).astype(np.float32)
    made = (true + left * rng.standard_normal(steps.shape)).astype(np.float32)
    drawn = [Drawn(true, made, np.ones(true.shape, dtype=bool))]

    def finished(weight: float) -> list[Drawn]:
        flat = flattened(torch.from_numpy(made)[None, None], torch.tensor(weight))
        return [drawn[0]._replace(made=flat[0, 0].numpy())]

    weight = fit_flatness(finished, (10.0, 10.0, 10.0))
    assert relative_changes(finished(weight), (10.0, 10.0, 10.0))[0] == pytest.approx(1, abs=0.05)
    assert (weight > 0) == (relative_changes(drawn, (10.0, 10.0, 10.0))[0] < 1)


def test_samples_that_change_less_stay_as_they_are() -> None:
    image = np.random.default_rng(0).standard_normal((32, 32)).astype(np.float32)
    drawn = [Drawn(image, image / 2, np.ones(image.shape, dtype=bool))]
    assert fit_flatness(lambda weight: drawn, (None, None, None)) == 0


def drawn_by(network: Flow, folder: Path, in_channels: int = 2) -> Predictor:
    description = {
        "generator": {"name": "residual_unet", "in_channels": in_channels, "width": 4, "flow_steps": 3},
        "normalisation": {"txm": UNIT, "sem": UNIT},
        "inference_mode": "evaluation",
        "sem_dtype": "float32",
        "family": "flow",
    }
    save_model(folder, network, description)
    return Predictor(load_model(folder), PredictSettings(), "cpu")


def test_samples_change_along_z_as_they_do_in_their_plane(tmp_path: Path) -> None:
    """White noise does so without coherence; where the rock changes half as much, adjacent slices have to correlate."""
    network = still(flow(), 0.3)
    field = FieldOfView(io.open_volume(make_source(tmp_path / "txm.tif", (20, 96, 96))))
    assert fit_coherence(drawn_by(network, tmp_path / "a"), field, (1.0, 1.0)) == pytest.approx(0, abs=0.02)
    network.relative_changes.fill_(0.5)
    found = fit_coherence(drawn_by(network, tmp_path / "b"), field, (1.0, 1.0))
    noise = VoxelNoise(7, found)
    planes = np.stack([noise.plane(z, 0, 0, 128, 128) for z in range(8)])
    changed = np.abs(np.diff(planes, axis=0)).mean() / (2 / np.sqrt(np.pi))
    assert changed == pytest.approx(0.5, abs=0.06)
    network.relative_changes.fill_(3.0)  # no noise changes as much
    assert fit_coherence(drawn_by(network, tmp_path / "c"), field, (1.0, 1.0)) == 0
    one = FieldOfView(io.open_volume(make_source(tmp_path / "one.tif", (1, 96, 96))))
    assert fit_coherence(drawn_by(network, tmp_path / "c"), one, (1.0, 1.0)) == 0


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(0.5, 5), st.floats(0.5, 5))
def test_a_rock_changes_along_z_as_its_txm_does(y: float, x: float, txm_y: float, txm_x: float) -> None:
    blurred = (np.sqrt(y), np.sqrt(x))  # differs less than the rock
    assert expected_along_z((y, x), (1, 1, 1)) == pytest.approx(np.sqrt(y * x))
    assert expected_along_z((y, y), (txm_y, txm_x, txm_x)) == pytest.approx(y * txm_y / txm_x)
    assert expected_along_z((y, x), (float(np.sqrt(blurred[0] * blurred[1])), *blurred)) == pytest.approx(
        np.sqrt(y * x)
    )
    if abs(np.log(y / x)) > 1:
        assert expected_along_z((y, x), (blurred[0], *blurred)) == pytest.approx(y, rel=0.05)
        assert expected_along_z((y, x), (blurred[1], *blurred)) == pytest.approx(x, rel=0.05)


# of grains along z, y and x: the axis that z is like
LENGTHS = {(3, 3, 9): 1, (9, 3, 9): 2, (9, 9, 3): 1, (5, 5, 5): 1}


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("voxels", [(1.0, 1.0), (2.0, 1.0), (1.0, 0.5)])
def test_changes_of_the_txm(lengths: tuple[int, int, int], voxels: tuple[float, float], tmp_path: Path) -> None:
    """Of rocks with long and short grains; slices of other brightness change nothing."""
    z, y, x = lengths
    smooth = ndimage.gaussian_filter(
        np.random.default_rng(3).standard_normal((48, 256, 256)), (z / voxels[0], y, x * voxels[1])
    )
    grey = smooth / smooth.std() + np.random.default_rng(4).standard_normal((48, 1, 1))
    file = tmp_path / "txm.tif"
    tifffile.imwrite(file, (3000 + 100 * grey).astype(np.uint16))
    found = txm_changes(drawn_by(still(flow(), 0.3), tmp_path / "m"), FieldOfView(io.open_volume(file)), voxels)
    assert found[0] == pytest.approx(found[LENGTHS[lengths]], rel=0.1)


def test_slices_at_the_ends_of_a_volume_have_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their context is repeated, so that they change more than any two others: both slices of a pair have theirs."""
    predictor = drawn_by(still(flow(in_channels=4), 0.3), tmp_path / "m", in_channels=4)
    field = FieldOfView(io.open_volume(make_source(tmp_path / "txm.tif", (12, 96, 96))))
    read, slabs = io.Volume.read, []
    monkeypatch.setattr(io.Volume, "read", lambda volume, z, end: slabs.append((z, end)) or read(volume, z, end))
    fit_coherence(predictor, field, (1.0, 1.0))
    pairs = [(z, end) for z, end in slabs if end > z + 1]
    assert {end - z for z, end in pairs} == {4}
    assert pairs[0][0] == 0
    assert pairs[-1][1] == 12


# --- a trained model, and its volumes


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flow")
    make_store(folder / "p", context=1)
    settings = settings_of("flow", "residual_unet", context=1, schedule={"epochs": 1, "decay_epochs": 0})
    train_model(folder / "p", settings, 0, folder / "m", device="cpu")
    txm = blurred(sharp((40, 36, 44), 5))  # as the training slices are
    io.write_volume_tiff(folder / "txm.tif", iter(txm), (40, 20, 10))
    return folder


def volume(trained: Path, target: Path, draw: int = 1, **options: object) -> np.ndarray:
    predictor = Predictor(load_model(trained / "m"), PredictSettings(), "cpu", draw=draw)
    predict_volume(predictor, trained / "txm.tif", target, **options)  # type: ignore[arg-type]
    return io.open_volume(target).read(0, 40) if target.exists() else np.empty(0)


def test_one_sample_is_one_volume_however_it_is_cut(trained: Path, tmp_path: Path) -> None:
    whole = volume(trained, tmp_path / "whole" / "v.ome.zarr")
    for number in (1, 2):
        volume(trained, tmp_path / "slabs" / "v.ome.zarr", slab=(number, 2))
    volume(trained, tmp_path / "slabs" / "v.ome.zarr", only_finish=True)
    assert digests(tmp_path / "slabs" / "v.ome.zarr") == digests(tmp_path / "whole" / "v.ome.zarr")
    stops = iter(range(1000))
    volume(trained, tmp_path / "stopped" / "v.ome.zarr", should_stop=lambda: next(stops) >= 20)
    np.testing.assert_array_equal(volume(trained, tmp_path / "stopped" / "v.ome.zarr"), whole)
    other = volume(trained, tmp_path / "other" / "v.ome.zarr", draw=2)
    assert (other != whole).mean() > 0.5
    np.testing.assert_array_equal(volume(trained, tmp_path / "again" / "v.ome.zarr", draw=1), whole)


def test_nothing_is_drawn_where_slabs_are_only_closed(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """How far the noise holds together is looked for only where there is something to predict."""
    for number in (1, 2):
        volume(trained, tmp_path / "v.ome.zarr", slab=(number, 2))
    assert capsys.readouterr().err.count("the noise holds together") == 2
    assert volume(trained, tmp_path / "v.ome.zarr").any()
    assert "the noise holds together" not in capsys.readouterr().err


def test_tiles_give_the_sample_of_the_whole_plane(trained: Path) -> None:
    loaded, txm = load_model(trained / "m"), plane(3, 330, 100) * 100 + 128
    whole = Predictor(loaded, PredictSettings(), "cpu").predict_plane(txm, 3)
    tiled = Predictor(loaded, PredictSettings(tile_px=128), "cpu").predict_plane(txm, 3)
    np.testing.assert_allclose(tiled, whole, atol=1e-3)  # grey levels
    assert np.abs(Predictor(loaded, PredictSettings(), "cpu").predict_plane(txm, 4) - whole).max() > 0.1


def test_a_model_without_samples_has_no_second_one(tmp_path: Path) -> None:
    options = {"name": "linearfilt"}
    description = {"generator": options, "normalisation": {"txm": UNIT, "sem": UNIT}, "inference_mode": "evaluation"}
    save_model(tmp_path, build_generator(**options, seed=0), {**description, "sem_dtype": "uint8"})
    with pytest.raises(ConfigError, match=r"--draw 2: .* predicts one image"):
        Predictor(load_model(tmp_path), PredictSettings(), "cpu", draw=2)


def test_the_mean_of_samples_and_their_spread(trained: Path, tmp_path: Path) -> None:
    """By `--samples`, as of passes with dropout: each pass is the sample of its number."""
    txm = blurred(sharp((3, 40, 44), 5))
    several = load_ensemble([trained / "m"], PredictSettings(coherence=0.2), "cpu", samples=4)
    mean, deviation = several.predict_plane(txm, 6)
    each = []
    for draw in range(1, 5):
        predictor = Predictor(load_model(trained / "m"), PredictSettings(coherence=0.2), "cpu", draw=draw)
        each.append(predictor.predict_plane(txm, 6))
    np.testing.assert_allclose(mean, np.mean(each, axis=0), atol=1e-3)
    np.testing.assert_allclose(deviation, np.std(each, axis=0, ddof=1), atol=1e-3)
    assert deviation.mean() > 0.1
    patches = np.stack([txm[:, :32, :32]] * 2)
    assert several.predict_patches(patches)[1].shape == (2, 32, 32)
    volumes = [tmp_path / name / "v.ome.zarr" for name in ("whole", "slabs")]
    predict_volume(several, trained / "txm.tif", volumes[0])
    for slab in ((1, 2), (2, 2)):
        again = load_ensemble([trained / "m"], PredictSettings(coherence=0.2), "cpu", samples=4)
        predict_volume(again, trained / "txm.tif", volumes[1], slab=slab)
    predict_volume(again, trained / "txm.tif", volumes[1], only_finish=True)
    assert digests(volumes[0]) == digests(volumes[1])
