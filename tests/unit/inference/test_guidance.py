"""Samples that the TXM guides: against dense algebra, an exact posterior, and volumes cut in any way."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from small_data import blurred, make_store, sharp
from small_volumes import digests
from training_cases import settings_of

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.errors import InputError
from txm2sem_core.inference import Predictor, guidance, load_ensemble, predict_volume
from txm2sem_core.inference.guidance import Guidance, mirrored_blur
from txm2sem_core.inference.guided_blocks import BLOCK_Z, blocks_of
from txm2sem_core.inference.guided_sampler import Block, GuidedSampler
from txm2sem_core.io.slice_pairs import forward_model_of
from txm2sem_core.io.units import plan_units
from txm2sem_core.networks import Flow, build_generator
from txm2sem_core.training import train_model

CPU = torch.device("cpu")
SIGMA = (0.9, 0.7, 1.2)
SHAPE = (4, 6, 5)


def seeing(slope: float = 0.5, sigma: tuple[float, float, float] = SIGMA, deviation: float = 0.1) -> Flow:
    """A flow that knows its TXM: a line of that slope, blurred."""
    network = build_generator("residual_unet", in_channels=2, width=4, flow_steps=3, seed=0)
    assert isinstance(network, Flow)
    knots = torch.linspace(-4, 4, network.txm_values.shape[1])
    network.txm_values.copy_(torch.stack([knots, slope * knots]))
    network.txm_blur.copy_(torch.tensor(sigma))
    network.txm_deviation.fill_(deviation)
    network.residual_scale.fill_(0.3)
    return network


def dense_blur(shape: tuple[int, ...], sigma: tuple[float, ...]) -> np.ndarray:
    """[N, N] of a volume of N voxels, by SciPy's filter."""
    voxels = np.eye(math.prod(shape)).reshape(-1, *shape)
    made = [ndimage.gaussian_filter(one, sigma, mode="reflect", truncate=4) for one in voxels]
    return np.stack([one.ravel() for one in made], axis=1)


@given(st.tuples(*[st.integers(1, 20)] * 3), st.tuples(*[st.sampled_from([0.0, 0.5, 1.0, 1.25, 2.75])] * 3))
def test_the_blur_is_that_of_a_mirrored_volume(shape: tuple[int, int, int], sigma: tuple[float, float, float]) -> None:
    """SciPy's, with deviations whose filters it ends at the same voxel."""
    one, other = np.random.default_rng(1).standard_normal((2, *shape)).astype(np.float32)
    found = mirrored_blur(torch.from_numpy(one), sigma).numpy()
    expected = ndimage.gaussian_filter(one, sigma, mode="reflect", truncate=4)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    adjoint = mirrored_blur(torch.from_numpy(other), sigma).numpy()
    assert np.sum(found * other) == pytest.approx(np.sum(one * adjoint), abs=1e-3)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("time", [0.0, 0.5, 0.75])
def test_the_likeliest_volume_is_that_of_dense_algebra(
    time: float, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a linear TXM it minimises a square, which has a closed form."""
    monkeypatch.setattr(guidance, "ITERATIONS", 200)
    sigma = (1.0, 0.75, 1.25)  # whose filters SciPy ends at the same voxel
    network, rng = seeing(sigma=sigma), np.random.default_rng(3)
    made, txm = (0.5 * rng.standard_normal(SHAPE).astype(np.float32) for _ in range(2))
    known = rng.random(SHAPE) < 0.7 if masked else None
    ((rows, columns, found),) = Guidance(network, CPU).explaining(made, txm, known, time)
    assert found[:, rows, columns].shape == SHAPE
    counted = np.ones(SHAPE, dtype=bool).ravel() if known is None else known.ravel()
    about_mean = np.eye(counted.sum()) - 1 / counted.sum()  # what all of it is off by has no say
    shown, seen = about_mean @ (0.5 * dense_blur(SHAPE, sigma))[counted], about_mean @ txm.ravel()[counted]
    variance = 0.3**2 * (1 - time) ** 2 / ((1 - time) ** 2 + time**2)
    inverse = np.eye(made.size) / variance + shown.T @ shown / 0.1**2
    wanted = np.linalg.solve(inverse, made.ravel() / variance + shown.T @ seen / 0.1**2)
    np.testing.assert_allclose(found.ravel(), wanted, atol=2e-4)


@pytest.mark.parametrize("shape", [(7, 33, 130), (20, 64, 90)])
def test_the_number_of_threads_changes_no_bit(shape: tuple[int, int, int]) -> None:
    rng, threads = np.random.default_rng(4), torch.get_num_threads()
    made, txm = (0.5 * rng.standard_normal(shape).astype(np.float32) for _ in range(2))
    found = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            found.append(next(Guidance(seeing(), CPU).explaining(made, txm, None, 0.5))[2])
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_a_txm_that_is_brighter_as_a_whole_changes_nothing() -> None:
    """As where the map of grey levels is off by something."""
    rng = np.random.default_rng(5)
    made, txm = (0.5 * rng.standard_normal((3, 8, 9)).astype(np.float32) for _ in range(2))
    ways = [next(Guidance(seeing(), CPU).explaining(made, each, None, 0.25))[2] for each in (txm, txm + 0.5)]
    np.testing.assert_allclose(*ways, atol=1e-5)


def test_what_was_not_measured_has_no_say() -> None:
    rng = np.random.default_rng(1)
    made, txm = (0.5 * rng.standard_normal((3, 8, 9)).astype(np.float32) for _ in range(2))
    known = np.ones(made.shape, dtype=bool)
    known[:, :, 4:] = False
    other = np.where(known, txm, 7).astype(np.float32)
    ways = [next(Guidance(seeing(), CPU).explaining(made, each, known, 0.25))[2] for each in (txm, other)]
    np.testing.assert_array_equal(*ways)
    assert not np.allclose(ways[0], made)
    known[:] = False
    np.testing.assert_array_equal(next(Guidance(seeing(), CPU).explaining(made, txm, known, 0.25))[2], made)


def test_parts_of_a_plane_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is solved with what lies within the blur's reach about it."""
    monkeypatch.setattr(guidance, "ITERATIONS", 30)
    network, rng = seeing(deviation=0.2), np.random.default_rng(2)
    made, txm = (0.5 * rng.standard_normal((5, 50, 70)).astype(np.float32) for _ in range(2))
    ((_, _, whole),) = Guidance(network, CPU).explaining(made, txm, None, 0.5)
    monkeypatch.setattr(guidance, "BRICK_PX", 24)
    covered = np.zeros(whole.shape, dtype=int)
    for rows, columns, part in Guidance(network, CPU).explaining(made, txm, None, 0.5):
        covered[:, rows, columns] += 1
        left = part - whole[:, rows, columns]
        left -= left.mean()  # of each part its own mean has no say
        assert np.abs(left).max() < 0.03 * np.abs(whole - made).max()
    assert (covered == 1).all()


class KnownPlanes:
    """In the place of a network: what it makes of a plane is known."""

    compute = SimpleNamespace(device=CPU)

    def __init__(self, made: object) -> None:
        self.plane = made


def test_samples_are_of_the_exact_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of white residuals of unit variance, whose velocity is known, and a linear TXM that is blurred along z alone.

    So each column of voxels is a sample of its own.
    """
    monkeypatch.setattr(guidance, "ITERATIONS", 10)
    depth, side, scale, slope, deviation = 4, 100, 0.3, 0.5, 0.15
    network, rng = seeing(slope, (0.9, 0.0, 0.0), deviation), np.random.default_rng(0)
    columns = mirrored_blur(torch.eye(depth)[:, :, None], (0.9, 0.0, 0.0))[:, :, 0]
    shown = slope * columns.numpy().astype(float)
    expected, truth, seen = rng.standard_normal((3, depth, side**2)) * np.array([0.2, scale, deviation])[:, None, None]
    txm = shown @ (expected + truth) + seen
    planes = np.stack([txm, expected], axis=1).reshape(depth, 2, side, side).astype(np.float32)  # the mean as well

    def velocity(given: np.ndarray) -> np.ndarray:
        state, time = given[:1], given[2:3]
        return state * (2 * time - 1) / ((1 - time) ** 2 + time**2)

    networks = KnownPlanes(lambda given: given[1:2]), KnownPlanes(velocity)
    sampler = GuidedSampler(network, *networks, 0, steps=100)  # type: ignore[arg-type]
    block = Block(range(depth), range(depth), lambda z: planes[z], lambda z: None, lambda: None)
    noise = SimpleNamespace(plane=lambda z, y, x, *size: rng.standard_normal(size).astype(np.float32))
    made = np.stack(list(sampler.draw(block, lambda slab: slab, noise))).reshape(depth, -1)  # type: ignore[arg-type]
    covariance = np.linalg.inv(np.eye(depth) / scale**2 + shown.T @ shown / deviation**2)
    mean = covariance @ (expected / scale**2 + shown.T @ txm / deviation**2)
    np.testing.assert_allclose((made - mean).mean(axis=1), 0, atol=0.01)
    np.testing.assert_allclose(np.cov(made - mean), covariance, atol=0.04 * scale**2)
    assert covariance.mean() < 0.6 * scale**2 / depth  # what the TXM sees best it leaves little open


@settings(max_examples=200)
@given(st.integers(1, 200), st.sets(st.integers(0, 12), min_size=1))
def test_blocks_lie_where_they_lie_for_the_whole_volume(depth: int, chosen: set[int]) -> None:
    units = plan_units(depth, 16)
    wanted = [unit for unit in units if unit.index in chosen] or units[:1]
    whole, some = blocks_of(units, depth), blocks_of(wanted, depth)
    assert set(some) <= set(whole)
    assert [z for one in whole for z in range(one.z0, one.z1)] == list(range(depth))
    for unit in wanted:
        assert sum(one.z0 <= unit.z0 and unit.z1 <= one.z1 for one in some) == 1


# --- volumes of a trained model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guided")
    store = make_store(folder / "own", context=2)
    for seed, pair in enumerate(store.pairs.values()):
        sem = sharp((24, 72, 80), 20 + seed)
        pair.sem[:], pair.txm[:] = sem[12], blurred(sem)[10:15]
    io.write_patch_store(folder / "p", store)
    chosen = settings_of("flow", "residual_unet", context=1, schedule={"epochs": 1, "decay_epochs": 0})
    train_model(folder / "p", chosen, 0, folder / "m", device="cpu")
    return folder


def txm_of(depth: int) -> np.ndarray:
    return blurred(sharp((depth, 36, 44), 5))


def predictor(trained: Path, draw: int = 1, **settings: object) -> Predictor:
    chosen = PredictSettings(**{"coherence": 0.3, "guided_steps": 2, **settings})  # type: ignore[arg-type]
    return Predictor(load_model(trained / "m"), chosen, "cpu", draw=draw)


def test_a_training_keeps_what_its_txm_shows(trained: Path) -> None:
    store = io.read_patch_store(trained / "p")
    model, network = forward_model_of(store), load_model(trained / "m").generator
    assert isinstance(network, Flow)
    assert network.txm_blur.tolist() == pytest.approx(model.sigma_px, rel=0.1)  # its slices were denoised twice
    levels = store.sem_range.from_unit(network.txm_values[0].numpy())
    np.testing.assert_allclose(levels, model.knots, atol=2)
    shown = store.txm_range.from_unit(network.txm_values[1].numpy())
    assert np.corrcoef(shown, model.values)[0, 1] > 0.99
    deviation = float(network.txm_deviation) * (store.txm_range.high - store.txm_range.low) / 2
    assert deviation == pytest.approx(model.unit, rel=0.2)


def test_a_guided_sample_explains_the_txm_better(trained: Path) -> None:
    txm = txm_of(20)
    model = forward_model_of(io.read_patch_store(trained / "p"))
    left = []
    for steps in (0, 4):
        made = predict_volume(predictor(trained, guided_steps=steps), txm)
        assert made.shape == txm.shape
        left.append(np.mean([np.square(txm[z] - seen).mean() for z, (seen, _) in enumerate(
            model.project((plane, None) for plane in made))]))  # fmt: skip
    assert left[1] < 0.85 * left[0]


def test_one_guided_sample_is_one_volume_however_it_is_cut(trained: Path, tmp_path: Path) -> None:
    """By jobs whose slabs begin within a block, stopped within one, and into an array."""
    depth = 2 * BLOCK_Z + 10
    io.write_volume_tiff(tmp_path / "txm.tif", iter(txm_of(depth)), (40, 20, 10))
    source, targets = tmp_path / "txm.tif", [tmp_path / name / "v.ome.zarr" for name in ("whole", "slabs", "stopped")]
    predict_volume(predictor(trained), source, targets[0])
    for number in (1, 2, 3):
        predict_volume(predictor(trained), source, targets[1], slab=(number, 3))
    predict_volume(predictor(trained), source, targets[1], only_finish=True)
    asked = iter(range(10**6))
    stopped = predict_volume(predictor(trained), source, targets[2], should_stop=lambda: next(asked) >= 250)
    assert not stopped.whole
    assert 0 < stopped.made < 5
    predict_volume(predictor(trained), source, targets[2])
    whole = digests(targets[0])
    assert digests(targets[1]) == digests(targets[2]) == whole
    kept = io.open_volume(targets[0]).read(0, depth)
    again, other = (
        predict_volume(predictor(trained, draw=number), txm_of(depth), voxel_size_nm=(40, 20, 10)) for number in (1, 2)
    )
    np.testing.assert_array_equal(again, kept)
    assert (other != kept).mean() > 0.3


def test_what_was_not_measured_is_not_predicted_and_changes_nothing(trained: Path, tmp_path: Path) -> None:
    txm = txm_of(18).astype(np.float32)
    txm[:, :, 30:] = np.nan
    made = predict_volume(predictor(trained), txm)
    assert (made[:, :, 30:] == 0).all()
    assert (made[:, :, :30] > 0).all()


def test_the_mean_of_guided_samples_and_their_spread(trained: Path) -> None:
    txm = txm_of(18)
    each = [predict_volume(predictor(trained, draw=number), txm).astype(float) for number in (1, 2, 3)]
    chosen = PredictSettings(coherence=0.3, guided_steps=2)
    mean, deviation = predict_volume(load_ensemble([trained / "m"], chosen, "cpu", samples=3), txm)
    inside = (np.min(each, axis=0) > 0) & (np.max(each, axis=0) < 255)  # others were clipped
    assert inside.mean() > 0.9
    assert np.abs(mean - np.mean(each, axis=0))[inside].max() <= 1
    assert np.abs(deviation - np.std(each, axis=0, ddof=1))[inside].max() <= 1.5


def test_a_model_that_does_not_know_its_txm_says_so(trained: Path) -> None:
    loaded = load_model(trained / "m")
    assert isinstance(loaded.generator, Flow)
    assert not predictor(trained).warnings
    loaded.generator.txm_deviation.zero_()
    alone = Predictor(loaded, PredictSettings(coherence=0.3), "cpu")
    assert "cannot guide samples" in alone.warnings[0]
    assert not Predictor(loaded, PredictSettings(guided_steps=0), "cpu").warnings
    made = predict_volume(alone, txm_of(3))
    np.testing.assert_array_equal(made, predict_volume(predictor(trained, guided_steps=0), txm_of(3)))


def test_pairs_that_say_nothing_of_the_txm_train_all_the_same(tmp_path: Path) -> None:
    store = make_store(tmp_path / "own", context=0)
    for pair in store.pairs.values():
        pair.mask[np.arange(len(pair.mask)) % 12 >= 10] = 0  # nothing lies far from what cannot be used
    io.write_patch_store(tmp_path / "p", store)
    with pytest.raises(InputError, match="no training pair"):
        forward_model_of(io.read_patch_store(tmp_path / "p"))
    chosen = settings_of("flow", "residual_unet", schedule={"epochs": 1, "decay_epochs": 0})
    train_model(tmp_path / "p", chosen, 0, tmp_path / "m", device="cpu")
    assert "cannot guide" in Predictor(load_model(tmp_path / "m"), PredictSettings(), "cpu").warnings[0]
