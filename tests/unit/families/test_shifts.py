"""The pixel loss that bears misfit: which shifts it finds, what it compares then, and that images do not drift."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from training_cases import batch_of, settings_of

from txm2sem_core.config import TrainSettings, parse_settings
from txm2sem_core.errors import ConfigError
from txm2sem_core.families import learner_of
from txm2sem_core.families.losses import pixel_loss
from txm2sem_core.families.shifts import best_shifts, fitted, less_mean, moved_by, shifts_within

CPU = torch.device("cpu")


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def by_hand(prediction: np.ndarray, target: np.ndarray, mask: np.ndarray, reach: int, window: int) -> np.ndarray:
    """The best shift of each window of one patch [Y, X], pixel by pixel."""
    height, width = target.shape
    found = np.zeros((2, -(-height // window), -(-width // window)))
    for row, column in np.ndindex(*found.shape[1:]):
        own = [
            (y, x)
            for y in range(row * window, min((row + 1) * window, height))
            for x in range(column * window, min((column + 1) * window, width))
        ]
        enough, least = 0.5 * sum(mask[at] for at in own), np.inf
        for dy, dx in shifts_within(reach):
            both = [((y, x), (y + dy, x + dx)) for y, x in own if 0 <= y + dy < height and 0 <= x + dx < width]
            counted = sum(mask[there] for _, there in both)
            if not counted or counted < enough:
                continue
            cost = sum(mask[there] * abs(prediction[here] - target[there]) for here, there in both) / counted
            if cost < least - 1e-9:
                least, found[:, row, column] = cost, (dy, dx)
    return found


@settings(max_examples=15, deadline=None)
@given(
    height=st.integers(6, 14),
    width=st.integers(6, 14),
    reach=st.integers(1, 3),
    window=st.integers(4, 9),
    seed=st.integers(0, 99),
)
def test_the_shifts_are_those_found_by_hand(height: int, width: int, reach: int, window: int, seed: int) -> None:
    prediction, target = noise(1, 1, height, width, seed=seed), noise(1, 1, height, width, seed=seed + 100)
    mask = noise(1, 1, height, width, seed=seed + 200) > -0.5
    found = best_shifts("L1", prediction, target, mask, reach, window)[0].numpy()
    images = (each[0, 0].double().numpy() for each in (prediction, target, mask))
    np.testing.assert_array_equal(found, by_hand(*images, reach, window))


def test_windows_that_were_moved_are_found_and_moved_back() -> None:
    target = noise(2, 1, 48, 48)
    shifts = torch.zeros(2, 2, 3, 3)
    shifts[:, :, 1, 1] = torch.tensor([[2.0, 0.0], [-1.0, 1.0]])
    prediction, inside = moved_by(target, None, shifts, 16)
    assert bool(inside.all())
    assert torch.equal(best_shifts("L2", prediction, target, None, 2, 16), shifts)
    assert torch.equal(prediction[0, 0, 16:32, 16:32], target[0, 0, 18:34, 16:32])
    assert torch.equal(prediction[:, :, :16], target[:, :, :16])


def test_the_mask_moves_along_and_ends_with_the_patch() -> None:
    mask = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    mask[0, 0, 5, 5] = False
    _, weight = moved_by(noise(1, 1, 8, 8), mask, torch.tensor([1.0, 2.0]).view(1, 2, 1, 1), 8)
    expected = torch.ones(8, 8)
    expected[7], expected[:, 6:], expected[4, 3] = 0, 0, 0
    assert torch.equal(weight[0, 0], expected)


def test_shifts_are_no_longer_than_allowed_and_the_shortest_comes_first() -> None:
    assert [len(shifts_within(reach)) for reach in range(4)] == [1, 5, 13, 29]
    assert shifts_within(2)[0] == (0, 0)
    blank = torch.zeros(1, 1, 8, 8)
    assert not best_shifts("L1", blank, blank, None, 3, 4).any()


@settings(deadline=None)
@given(y=st.floats(-4, 4), x=st.floats(-4, 4), count=st.integers(1, 9))
def test_a_mean_is_taken_from_the_shifts_in_whole_pixels(y: float, x: float, count: int) -> None:
    left = less_mean(torch.zeros(count, 2, 2, 2), torch.tensor([y, x]))
    assert torch.equal(left, left.round())
    np.testing.assert_allclose(-left.mean(dim=(0, 2, 3)).numpy(), [y, x], atol=0.5 / count + 1e-5)


def test_a_prediction_that_drifts_as_a_whole_is_drawn_back() -> None:
    """At first its shift is granted; once it is seen to be that of all patches, it is compared as it is."""
    learner = learner_of(settings_of("feedforward", pixel_shift_px=2), 0, CPU)
    sem = noise(4, 1, 64, 64)
    drifted = sem.roll(1, dims=3)
    first, weight = fitted(learner, drifted, sem, None)
    assert pixel_loss("L1", drifted, first, weight) < 1e-6
    for _ in range(150):
        last, weight = fitted(learner, drifted, sem, None)
    torch.testing.assert_close(learner.mean_shift, torch.tensor([0.0, -1.0]), atol=1e-2, rtol=0)
    assert torch.equal(last, sem)
    assert weight is not None
    assert bool((weight == 1).all())


@pytest.mark.parametrize("family", ["feedforward", "pix2pix", "srcnn", "srgan", "flow"])
def test_every_family_with_a_pixel_loss_bears_misfit(family: str) -> None:
    """Of a patch compared at its best the loss is less; off, nothing changes."""
    losses = []
    for reach in (0, 3):
        torch.manual_seed(0)
        chosen = settings_of(family, "residual_unet" if family == "flow" else "", pixel_shift_px=reach)
        learner = learner_of(chosen, 0, CPU)
        losses.append(float(learner.step(batch_of(chosen))["loss_pixel"]))
        assert bool(learner.mean_shift.any()) == (reach > 0)
    assert losses[1] < losses[0]


def test_a_training_goes_on_with_the_mean_shift() -> None:
    chosen = settings_of("feedforward", pixel_shift_px=2)
    torch.manual_seed(0)
    batches = [batch_of(chosen) for _ in range(6)]
    through, before = learner_of(chosen, 0, CPU), learner_of(chosen, 0, CPU)
    for batch in batches[:3]:
        through.step(batch)
        before.step(batch)
    after = learner_of(chosen, 1, CPU)
    after.load_state_dict(before.state_dict())
    losses = [[float(each.step(batch)["loss_pixel"]) for batch in batches[3:]] for each in (through, after)]
    assert losses[0] == losses[1]
    assert torch.equal(through.mean_shift, after.mean_shift)


@pytest.mark.parametrize("family", ["repair", "segmentation", "baseline"])
def test_families_without_such_a_loss_refuse_it(family: str) -> None:
    with pytest.raises(ConfigError, match=f"pixel_shift_px must be 0 for family {family}"):
        parse_settings(TrainSettings, "{}", family=family, pixel_shift_px=1)
