"""What the TXM shows of a FIB-SEM volume: learnt from slices of rocks whose map and blur are known."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.forward_model import ForwardModel, ResidualMeter, SlicePair, fit_forward_model
from txm2sem_core.metrics.point_spread import LENGTHS, LagMeter, Lags, PointSpread, Spacing, fit_point_spread

CUBES = Spacing(1.0, 1.0, 1.0)
GREY, ATTENUATION = np.array([20.0, 90.0, 140.0, 220.0]), np.array([0.0, 300.0, 500.0, 2000.0])


def rock(seed: int, shape: tuple[int, int, int] = (40, 96, 96), spacing: Spacing = CUBES) -> np.ndarray:
    """Grey levels of four phases, by distance alone alike in all directions."""
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.standard_normal(shape), [4 / edge for edge in spacing]) for _ in range(2)]
    first, second = (field / field.std() for field in fields)
    return GREY[np.where(second > 1.4, 3, np.digitize(first, [-0.8, 0.5]))]


def seen(sem: np.ndarray, sigma: tuple[float, float, float], noise: float = 0.0) -> np.ndarray:
    """The TXM's volume."""
    found = ndimage.gaussian_filter(np.interp(sem, GREY, ATTENUATION), sigma)
    return (found + noise * np.random.default_rng(1).standard_normal(sem.shape)).astype(np.float32)


def slices(sem: np.ndarray, txm: np.ndarray, context: int, every: int = 8) -> list[SlicePair]:
    mask = np.zeros(sem.shape[1:], dtype=bool)
    mask[6:-6, 6:-6] = True
    return [
        SlicePair(sem[z].astype(np.float32), txm[z - context : z + context + 1], mask)
        for z in range(context + 4, len(sem) - context - 4, every)
    ]


def residual(model: ForwardModel, sem: np.ndarray, txm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    made = list(model.project((plane, None) for plane in sem))
    assert len(made) == len(sem)
    return np.stack([t - own for (own, _), t in zip(made, txm, strict=True)]), np.stack([judged for _, judged in made])


@pytest.mark.parametrize("sigma", [(1.5, 1.5, 1.5), (2.5, 1.2, 1.2), (1.0, 2.0, 2.0)])
def test_blur_and_map_are_found_from_single_slices(sigma: tuple[float, float, float]) -> None:
    """Also where the TXM blurs more along z, which no single slice shows."""
    rocks = [rock(seed) for seed in range(3)]
    pairs = list(itertools.chain.from_iterable(slices(sem, seen(sem, sigma, 10.0), 2) for sem in rocks))
    model = fit_forward_model(pairs, CUBES)
    assert model.sigma_px == pytest.approx(sigma, abs=0.3)
    other = rock(9)
    txm = seen(other, sigma, 10.0)
    left, judged = residual(model, other, txm)
    contrast = txm.std()
    assert left[judged].std() < 0.12 * contrast  # all that the model explains, with noise of 10 in it
    assert 10 < model.unit < 0.12 * contrast


def test_without_slices_above_and_below_the_blur_is_the_planes() -> None:
    sem = rock(0)
    model = fit_forward_model(slices(sem, seen(sem, (1.5, 1.5, 1.5)), 0, 4), CUBES)
    assert model.sigma_px[0] == model.sigma_px[1] == pytest.approx(1.5, rel=0.2)


def test_voxels_that_are_no_cubes() -> None:
    """Widths are in voxels, and the rock's distances in nanometres."""
    spacing = Spacing.of((40.0, 20.0, 20.0))
    assert spacing == (2.0, 1.0, 1.0)
    assert Spacing.of((20.0, 40.0, 10.0)) == (1.0, 2.0, 0.5)
    assert Spacing.of((None, 20.0, 20.0)) == Spacing.of(None) == CUBES
    pairs: list[SlicePair] = []
    for seed in range(4):
        sem = rock(seed, spacing=spacing)
        pairs += slices(sem, seen(sem, (1.2, 1.6, 1.6), 10.0), 1)
    assert fit_forward_model(pairs, spacing).sigma_px == pytest.approx((1.2, 1.6, 1.6), rel=0.2)


def test_widths_of_a_rock_of_gaussians_are_exact() -> None:
    """Lags in closed form, without any image, and with noise of the FIB-SEM at lag 0."""
    steps = np.arange(-14, 15)
    squared = (steps[:, None] ** 2 + steps**2).ravel().astype(float)
    squared = squared[squared <= 14**2]
    length, sigma, z = 3.4, 1.3, 1.9
    own = 2.0 * np.exp(-squared / 2 / length**2) + 0.7 * (squared == 0)
    wide, deep = length**2 + sigma**2, length**2 + z**2
    factor = 2.0 * 1.5 * length**2 / wide * length / np.sqrt(deep)
    txm = np.stack([factor * np.exp(-squared / 2 / wide - k**2 / 2 / deep) for k in range(-2, 3)])
    found = fit_point_spread(Lags(own, txm, squared), CUBES)
    assert (found.plane, found.z, found.gain) == pytest.approx((sigma, z, 1.5), rel=1e-3)
    assert found.noise == pytest.approx(0.7, rel=1e-3)
    assert found.weights.sum() == pytest.approx(2.0, rel=1e-3)


def test_the_filter_of_a_slice_is_the_best_linear_one() -> None:
    """No blur along z and no noise: that of the TXM; else it holds back what a slice does not show."""
    weights = np.eye(len(LENGTHS))[4]
    frequency = np.linspace(0, 1, 20) ** 2
    plain = PointSpread(1.4, 0.0, 1.0, weights, 0.0).of_slice(frequency)
    np.testing.assert_allclose(plain, np.exp(-frequency * 1.4**2 / 2), rtol=1e-6)
    along = PointSpread(1.4, 2.0, 1.0, weights, 0.0).of_slice(frequency)
    np.testing.assert_allclose(along / plain, LENGTHS[4] / np.hypot(LENGTHS[4], 2.0), rtol=1e-6)
    assert (PointSpread(1.4, 0.0, 1.0, weights, 0.5).of_slice(frequency) < plain).all()


def test_lags_are_mean_products_of_pixels_that_can_be_used() -> None:
    rng = np.random.default_rng(0)
    image, txm, mask = rng.random((20, 24)), rng.random((3, 20, 24)), rng.random((20, 24)) > 0.2
    meter = LagMeter(CUBES, 2)
    meter.add(image, txm, mask)
    lags = meter.result()
    wanted = []
    for y, x in itertools.product(range(-2, 3), repeat=2):
        if y**2 + x**2 <= 4:
            pairs = [
                (image[a, b], image[a + y, b + x], txm[:, a + y, b + x])
                for a, b in np.argwhere(mask)
                if 0 <= a + y < 20 and 0 <= b + x < 24 and mask[a + y, b + x]
            ]
            wanted.append(
                (y**2 + x**2, np.mean([p * q for p, q, _ in pairs]), np.mean([p * t for p, _, t in pairs], 0))
            )
    np.testing.assert_allclose(lags.squared, [w[0] for w in wanted])
    np.testing.assert_allclose(lags.own, [w[1] for w in wanted])
    np.testing.assert_allclose(lags.txm, np.stack([w[2] for w in wanted], axis=1))


@pytest.mark.parametrize(("diameter", "found"), [(1, False), (9, True)])
def test_a_planted_pore_is_found_if_it_is_larger_than_the_blur(diameter: int, found: bool) -> None:
    sigma = (1.5, 1.5, 1.5)
    rocks = [rock(seed) for seed in range(3)]
    pairs = list(itertools.chain.from_iterable(slices(sem, seen(sem, sigma, 20.0), 2) for sem in rocks))
    model = fit_forward_model(pairs, CUBES)
    sem = np.full((24, 40, 40), GREY[2])
    txm = seen(sem, sigma, 20.0)
    z, y, x = np.indices(sem.shape)
    sem[(z - 12) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= (diameter / 2) ** 2] = GREY[0]
    left, judged = residual(model, sem, txm)
    beyond = np.argwhere((np.abs(left) > 6 * model.unit) & judged)
    assert bool(len(beyond)) is found
    assert (np.abs(beyond - (12, 20, 20)) < diameter).all()


# --- projecting a volume


def model_of(sigma: tuple[float, float, float]) -> ForwardModel:
    return ForwardModel(tuple(GREY), tuple(ATTENUATION), sigma, 2.0, 1)


@settings(deadline=None, max_examples=25)
@given(
    st.tuples(*[st.floats(0.05, 2.5)] * 3),
    st.tuples(st.integers(1, 30), st.integers(3, 20), st.integers(3, 20)),
)
def test_slice_by_slice_equals_the_whole_volume(sigma: tuple[float, float, float], shape: tuple[int, int, int]) -> None:
    sem = np.random.default_rng(0).uniform(0, 255, shape)
    mapped = np.interp(sem, GREY, ATTENUATION)
    known, wanted = (
        ndimage.gaussian_filter(part, sigma, mode="constant", truncate=4.0) for part in (np.ones(shape), mapped)
    )
    made = list(model_of(sigma).project((plane, None) for plane in sem))
    assert len(made) == shape[0]
    for z, (plane, judged) in enumerate(made):
        np.testing.assert_allclose(plane, wanted[z] / known[z], rtol=2e-3, atol=1.0)
        assert judged[known[z] > 0.96].all()
        assert not judged[known[z] < 0.94].any()


def test_no_more_slices_are_read_than_the_blur_is_long() -> None:
    read: list[int] = []

    def volume() -> Iterator[tuple[np.ndarray, None]]:
        for z in range(60):
            read.append(z)
            yield np.zeros((4, 4)), None

    for z, _ in enumerate(model_of((1.5, 1.0, 1.0)).project(volume())):
        assert len(read) <= z + 7  # four standard deviations ahead


def test_what_is_unknown_counts_nowhere() -> None:
    """A voxel is judged by known voxels, and not at all where too few of them are near."""
    sem = np.full((20, 30, 30), 90.0)
    masks = [np.ones((30, 30), dtype=bool) for _ in sem]
    for plane, mask in zip(sem, masks, strict=True):
        mask[:, :15] = False
        plane[:, :15] = 220.0  # not rock
    made = list(model_of((1.0, 1.0, 1.0)).project(zip(sem, masks, strict=True)))
    for plane, judged in made[4:-4]:
        np.testing.assert_allclose(plane[judged], 300.0, rtol=1e-5)
        assert judged[10, 20]
        assert not judged[:, :16].any()
    assert not made[0][1].any()


def test_a_description_is_read_as_it_was_written() -> None:
    model = model_of((1.0, 2.0, 3.0))
    assert ForwardModel.from_dict(model.as_dict()) == model


# --- what cannot be measured


def test_constant_or_missing_slices_are_refused() -> None:
    flat = SlicePair(np.full((40, 40), 7.0, np.float32), np.ones((1, 40, 40), np.float32), np.ones((40, 40), bool))
    for pairs in ([], [flat], [flat._replace(mask=np.zeros((40, 40), bool))]):
        with pytest.raises(InputError, match="no training pair has FIB-SEM grey levels"):
            fit_forward_model(pairs, CUBES)
    rare = flat.sem.copy()
    rare[3, 3] = 9.0
    with pytest.raises(InputError, match="constant"):
        fit_forward_model([flat._replace(sem=rare)], CUBES)


def test_residuals_are_counted_where_they_are_judged() -> None:
    meter = ResidualMeter()
    with pytest.raises(InputError, match="no voxel has 95%"):
        meter.metrics()
    meter.add(np.array([[1.0, -4.0, 99.0]]), np.array([[True, True, False]]))
    meter.add(np.array([[2.0, 0.0, 0.0]]), np.array([[True, True, True]]))
    found = meter.metrics()
    assert found["txm_residual_rms"] == pytest.approx(np.sqrt(21 / 5))
    assert found["txm_residual_beyond_3"] == pytest.approx(1 / 5)
    assert found["txm_residual_judged_share"] == pytest.approx(5 / 6)
