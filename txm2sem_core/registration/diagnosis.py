"""What is wrong with a refused pair: blank, or found where the configuration forbids it."""

from __future__ import annotations

import numpy as np

from txm2sem_core.config import RegisterSettings
from txm2sem_core.intensity.measured import Slice
from txm2sem_core.registration.estimate import Registration, is_blank
from txm2sem_core.registration.frames import Scaled
from txm2sem_core.registration.placing import Starts, describe, place_anywhere, place_from
from txm2sem_core.registration.stretching import LEAST_GAIN

NOTHING = (
    "tried without success: mirrored, turned, of another pixel size, stretched, a part, without its data bar. Where "
    "you see the same place in both, mark it by hand (column landmarks, docs/guides/your-own-data.md)"
)
SMALLEST_PART = 0.05  # share of the TXM slice that a FIB-SEM slice must cover to be looked for
OVERLAP_MARGIN = 0.8  # of what a part covers is asked for in a hint, so that its neighbours pass as well
TURN_MARGIN_DEG = 3.0
SCALE_MARGIN = 0.02
_FREE = RegisterSettings()


def explain(
    fixed: Slice, moving: Slice, settings: RegisterSettings, stated_scale: float, searched: Starts | None = None
) -> str:
    """In words what is wrong with a refused pair, and which settings would accept it; also where nothing helps.

    `searched` are the starts that the search found which refused it (see `place_anywhere`).
    """
    for name, image in (("TXM", fixed), ("FIB-SEM", moving)):
        if is_blank(image, settings):
            level = f"{float(np.median(image.image[image.mask] if image.mask.any() else image.image)):g}"
            return f"hint: (nearly) every pixel of the {name} slice is {level}: save it again, or leave the pair out"
    free = _freed(settings)
    stretched = free.model_copy(update={"transform": "affine"})
    if stretched == settings:
        return NOTHING
    placed = place_anywhere(fixed, moving, stretched, stated_scale, searched=searched)
    if placed is None or placed.found is None:
        return NOTHING
    transform, found = _plainest(fixed, moving, placed.found, free, stated_scale)
    keys = _keys(found, settings, fixed.shape) | ({} if transform == settings.transform else {"transform": transform})
    if not keys:
        return NOTHING
    changes = "; ".join(f"set register.{key}: {value}" for key, value in keys.items())
    how = describe(found) or "somewhat further off"
    return f"hint: the FIB-SEM slice is found {how}, which the settings forbid; it is accepted once you {changes}"


def _plainest(
    fixed: Slice, moving: Slice, found: Registration, free: RegisterSettings, stated_scale: float
) -> tuple[str, Registration]:
    """The settings' own transform or else a similarity, where one is accepted there and fits as well; else affine."""
    one, two = Scaled(fixed), Scaled(moving)
    expected = stated_scale if np.isfinite(stated_scale) else 1.0
    at_scale = abs(found.scale / expected - 1) <= SCALE_MARGIN  # a rigid search tries no other
    own = [free.transform] if at_scale or free.transform not in ("translation", "rigid") else []
    for transform in dict.fromkeys([*own, "similarity"]):
        placed = place_from(one, two, found.matrix, free.model_copy(update={"transform": transform}), stated_scale)
        if placed is None or not placed.accepted or placed.found is None:
            continue
        if found.above_chance < LEAST_GAIN * placed.found.above_chance:
            return transform, placed.found
    return "affine", found


def _freed(settings: RegisterSettings) -> RegisterSettings:
    """The settings without what forbids a way to lie."""
    least = min(settings.min_overlap, SMALLEST_PART)
    scales = min(settings.scales[0], _FREE.scales[0]), max(settings.scales[1], _FREE.scales[1])
    free = {"max_rotation_deg": 180.0, "mirrored": True, "max_shift_fraction": 1.0, "min_overlap": least}
    return settings.model_copy(update=free | {"scales": scales})


def _keys(found: Registration, settings: RegisterSettings, fixed_shape: tuple[int, int]) -> dict[str, str]:
    """The settings that forbid what was found, with values that admit it, and a margin."""
    keys: dict[str, str] = {}
    if found.mirrored and not settings.mirrored:
        keys["mirrored"] = "true"
    if abs(found.rotation_deg) > settings.max_rotation_deg:
        keys["max_rotation_deg"] = f"{min(180, np.ceil((abs(found.rotation_deg) + TURN_MARGIN_DEG) / 5) * 5):g}"
    low, high = settings.scales
    reach = settings.max_scale_percent / 100
    if not (low * (1 - reach) <= found.scale <= high * (1 + reach)):
        low, high = min(low, found.scale * (1 - SCALE_MARGIN)), max(high, found.scale * (1 + SCALE_MARGIN))
        keys["scales"] = f"[{low:.3g}, {high:.3g}]"
    if found.overlap < settings.min_overlap:
        keys["min_overlap"] = f"{np.floor(100 * OVERLAP_MARGIN * found.overlap) / 100:g}"
    shift = float(np.hypot(found.shift_x_px, found.shift_y_px)) / min(fixed_shape)
    if settings.max_shift_fraction < min(shift, 1.0):
        keys["max_shift_fraction"] = f"{min(1.0, np.ceil((shift + 0.05) * 20) / 20):g}"
    return keys
