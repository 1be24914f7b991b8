"""A milled stack in a volume: one pose, slices in order, the doubtful held by their neighbours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_volume_placing import Rock, make_rock

from txm2sem_core import planes
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.geometry import Matrix
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.phantom.oblique import jittered_stack
from txm2sem_core.registration.spacing import Spacing
from txm2sem_core.registration.volume_placing import judged
from txm2sem_core.registration.volume_stack import StackSlice, _clearly_worse, _with_pose, mean_pose, place_stack

SIZE = (110, 118)


@pytest.fixture(scope="module")
def rock(tmp_path_factory: pytest.TempPathFactory) -> Rock:
    return make_rock(tmp_path_factory.mktemp("rock") / "stack", 5)


@pytest.fixture(scope="module")
def stack(rock: Rock) -> list[Matrix]:
    first = planes.centred_plane((86, 84, 20), SIZE, 1.0, 140, 7, 30, mirrored=True)
    return jittered_stack(first, [0, 3, 6, 12, 15], 0.4, np.random.default_rng(1))


def slices_of(rock: Rock, stack: list[Matrix]) -> list[Slice]:
    return [rock.cut(plane, SIZE) for plane in stack]


def as_stack(slices: list[Slice]) -> list[StackSlice]:
    numbers = (0, 1, 2, 4, 5)  # one is missing
    return [StackSlice(n, lambda one=one: one, 1.0) for n, one in zip(numbers, slices, strict=False)]  # type: ignore[misc]


def test_all_slices_are_found_with_one_pose(rock: Rock, stack: list[Matrix]) -> None:
    placed = place_stack(rock.levels, as_stack(slices_of(rock, stack)), RegisterSettings())
    errors = [planes.corner_rms(one.plane, truth, SIZE) for one, truth in zip(placed, stack, strict=True)]
    assert [one.reasons for one in placed] == [[]] * 5
    assert max(errors) < 0.8
    assert np.ptp([one.plane[:, :3] for one in placed], axis=0).max() < 1e-9


def test_a_doubtful_slice_is_held_and_a_wrong_one_refused(rock: Rock, stack: list[Matrix], tmp_path: Path) -> None:
    slices = slices_of(rock, stack)
    half = slices[3].image.copy()
    half[:, SIZE[1] // 2 :] = 90  # half of it shows nothing: its halves cannot agree
    half[:, SIZE[1] // 2 :] += np.random.default_rng(0).integers(0, 30, half[:, SIZE[1] // 2 :].shape, dtype=np.uint8)
    slices[3] = Slice(half)
    slices[1] = make_rock(tmp_path / "other", 6).cut(stack[1], SIZE)
    placed = place_stack(rock.levels, as_stack(slices), RegisterSettings())
    assert [one.accepted for one in placed] == [True, False, True, True, True]
    assert placed[3].held
    assert planes.corner_rms(placed[3].plane, stack[3], SIZE) < 1.0


def test_slices_that_were_turned_on_their_own_keep_their_pose(rock: Rock, stack: list[Matrix]) -> None:
    truths = []
    for plane, turn in zip(stack[:4], (1.6, -1.5, 1.4, -1.6), strict=True):
        middle = np.array([(SIZE[1] - 1) / 2, (SIZE[0] - 1) / 2])
        turned = plane[:, :2] @ planes.rotation(np.deg2rad(turn) * np.array([0.0, 0, 1]))[:2, :2]
        truths.append(planes.with_normal(turned, plane @ [*middle, 0, 1] - turned @ middle))
    placed = place_stack(rock.levels, as_stack(slices_of(rock, truths)), RegisterSettings())
    for one, truth in zip(placed, truths, strict=True):
        assert one.accepted
        assert planes.corner_rms(one.plane, truth, SIZE) < 0.8
    assert np.ptp([one.plane[:, :3] for one in placed], axis=0).max() > 0.02


def test_the_disagreement_is_that_of_the_pose_which_is_kept(rock: Rock, stack: list[Matrix]) -> None:
    sem = slices_of(rock, stack)[1]
    own = judged(rock.levels, sem, stack[1], 0.5, RegisterSettings(), 1.0, 0.1)
    assert own.found is not None
    pose = planes.rotation(np.deg2rad(0.8) * np.array([0.0, 0, 1])) @ stack[1][:, :2]
    kept = _with_pose(rock.levels, StackSlice(1, lambda: sem, 1.0), RegisterSettings(), pose, replace(own, held=True))
    assert kept.found is not None
    assert kept.found.disagreement_px == pytest.approx(planes.corner_rms(kept.plane, stack[1], SIZE))
    assert kept.found.disagreement_px > 0.8
    nowhere = replace(own, score=-np.inf)
    assert _clearly_worse(nowhere, own)
    assert _clearly_worse(nowhere, replace(own, held=True))
    assert _clearly_worse(replace(own, found=replace(own.found, similarity_after=1.06)), own)
    assert not _clearly_worse(own, own)


def test_a_stack_that_drifts_is_found_without_a_setting(rock: Rock, stack: list[Matrix]) -> None:
    """Each slice lies 0.8 and 0.5 pixels beside the one before, and is off by a random walk besides."""
    rng = np.random.default_rng(7)
    walk = np.cumsum(rng.normal(0, 0.6, (len(stack), 2)), axis=0)
    drifted = []
    for plane, number, (x, y) in zip(stack, (0, 1, 2, 4, 5), walk, strict=True):
        moved = plane.copy()
        moved[:, 3] = plane @ (0.8 * number + x, -0.5 * number + y, 0, 1)
        drifted.append(moved)
    assert planes.corner_rms(drifted[-1], stack[-1], SIZE) > 3
    placed = place_stack(rock.levels, as_stack(slices_of(rock, drifted)), RegisterSettings())
    assert all(one.accepted for one in placed)
    errors = [planes.corner_rms(one.plane, truth, SIZE) for one, truth in zip(placed, drifted, strict=True)]
    assert max(errors) < 0.8


@pytest.mark.parametrize(("stated", "fits"), [(3.0, True), (5.0, False)])
def test_a_stated_spacing_is_held_against_what_is_found(
    rock: Rock, stack: list[Matrix], stated: float, fits: bool
) -> None:
    slices = as_stack(slices_of(rock, stack))[:3]
    spacing = Spacing(stated * 32, 32, "column sem_spacing_nm")
    if fits:
        placed = place_stack(rock.levels, slices, RegisterSettings(), spacing)
        assert all(planes.corner_rms(one.plane, truth, SIZE) < 0.8 for one, truth in zip(placed, stack, strict=False))
        return
    with pytest.raises(ConfigError, match="column sem_spacing_nm: 160 nm"):
        place_stack(rock.levels, slices, RegisterSettings(), spacing)


def test_slices_of_no_common_pose_are_placed_one_by_one(rock: Rock) -> None:
    truths = [planes.centred_plane((86, 84, 24 + 2 * k), SIZE, 1.0, 90 * k, 5, 30 * k) for k in range(3)]
    placed = place_stack(rock.levels, as_stack(slices_of(rock, truths)), RegisterSettings())
    for one, truth in zip(placed, truths, strict=True):
        assert one.accepted
        assert planes.corner_rms(one.plane, truth, SIZE) < 1.0


def test_the_mean_pose_is_a_pose() -> None:
    turned = [planes.centred_plane((9, 9, 9), SIZE, s, t, 8, 20) for s, t in ((1.0, 10), (1.02, 12), (0.98, 11))]
    linear = mean_pose(turned, 1.0)
    expected = planes.centred_plane((9, 9, 9), SIZE, 1.0, 11, 8, 20)[:, :2]
    np.testing.assert_allclose(linear, expected, atol=1e-3)
    np.testing.assert_allclose(linear.T @ linear, linear[:, 0] @ linear[:, 0] * np.eye(2), atol=1e-12)
