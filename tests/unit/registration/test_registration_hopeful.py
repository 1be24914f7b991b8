"""Large slices that lie elsewhere are not searched in full, and others are as they always were."""

from __future__ import annotations

import numpy as np
import pytest
from small_data import blurred, sharp

from txm2sem_core.config import RegisterSettings
from txm2sem_core.geometry import corner_error_px
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration import estimate, estimate_transform, judge

SHAPE = (150, 180)
SETTINGS = RegisterSettings()


def full_searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of slices that are searched in full, from now on."""
    found: list[tuple[int, ...]] = []
    refine = estimate.refine

    def counted(fixed, moving, start, kind, levels, min_step_px):  # type: ignore[no-untyped-def]
        if fixed.shape == SHAPE:
            found.append(fixed.shape)
        return refine(fixed, moving, start, kind, levels, min_step_px)

    monkeypatch.setattr(estimate, "refine", counted)
    return found


def test_unrelated_large_slices_are_refused_without_a_full_search(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = (sharp((3, *SHAPE), seed)[1] for seed in (3, 4))
    searched = full_searches(monkeypatch)
    monkeypatch.setattr(estimate, "HOPEFUL_SIDE_PX", 48)
    found = estimate_transform(Slice(blurred(one)), Slice(other), SETTINGS)
    assert searched == []
    assert found.disagreement_px == np.inf
    reasons = judge(found, SETTINGS, SHAPE)
    assert any("min_similarity" in reason for reason in reasons)
    assert any("disagree" in reason for reason in reasons)


def test_slices_that_belong_together_are_found_as_small_ones_are(monkeypatch: pytest.MonkeyPatch) -> None:
    rock = sharp((3, *SHAPE), 3)[1]
    fixed, moving = Slice(blurred(rock)), Slice(np.roll(rock, (4, -3), axis=(0, 1)))
    as_small = estimate_transform(fixed, moving, SETTINGS)
    searched = full_searches(monkeypatch)
    monkeypatch.setattr(estimate, "HOPEFUL_SIDE_PX", 48)
    found = estimate_transform(fixed, moving, SETTINGS)
    assert searched == [SHAPE]
    assert not judge(found, SETTINGS, SHAPE)
    assert corner_error_px(found.matrix, as_small.matrix, SHAPE) == 0
