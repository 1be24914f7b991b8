"""Warnings about pairs and their splits, for the log, `model.json` and the report."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

import pandas as pd

# a registration is doubtful where it passed, but its slices agree little more than by chance or its halves disagree
DOUBTFUL_SIMILARITY = 0.03  # normalised mutual information over that of the slices displaced
DOUBTFUL_DISAGREEMENT_PX = 1.0
DOUBTFUL_SCALE = 0.05  # of the scale that was found, to that of the pixel sizes which the files state
ONE_OFF_SHARE = 0.7  # of the pairs that can be compared, how many must fit a neighbour better
FEWEST_PAIRS = 3
CLEAR_CORRELATION = 0.1  # below, its sign says nothing of the contrast


def registration_warnings(quality: pd.DataFrame) -> list[str]:
    """Pairs that passed the registration with little margin, or at an odd scale, or are wrong as a set."""
    return [*set_warnings(quality), *_little_margin(quality), *_odd_scale(quality)]


def set_warnings(quality: pd.DataFrame) -> list[str]:
    """What is wrong with the whole set of pairs, though each passed; `quality` is the table of the registration."""
    return [*_one_off(quality), *_other_contrast(quality), *_at_end(quality), *_stretched(quality)]


def doubtful(quality: pd.DataFrame) -> pd.Series:
    """Which pairs of the table passed with little margin, or fit a neighbouring TXM slice at least as well; bool."""
    weak = quality["similarity_after"] - quality["similarity_chance"] < DOUBTFUL_SIMILARITY
    loose = quality["disagreement_px"] > DOUBTFUL_DISAGREEMENT_PX
    elsewhere = pd.Series(data=False, index=quality.index)
    for column in {"similarity_to_previous", "similarity_to_next"} & set(quality.columns):
        elsewhere |= quality[column] >= 0  # false where there is none
    return quality["accepted"].astype(bool) & (weak | loose | elsewhere)


def _little_margin(quality: pd.DataFrame) -> list[str]:
    needed = {"accepted", "similarity_after", "similarity_chance", "disagreement_px"}
    if not needed <= set(quality.columns):
        return []
    used = quality["accepted"].astype(bool).sum()
    names = quality[doubtful(quality)]["pair"].astype(str).tolist()
    if not names:
        return []
    return [
        f"The registration of {len(names)} of {used} pairs is doubtful, though it passed: {_named(names)}. Misplaced "
        "slices lower every score. Look at them in the registration figure."
    ]


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _one_off(quality: pd.DataFrame) -> list[str]:
    """Numbers that are one off: most FIB-SEM slices fit the TXM slice before, or after, better than their own."""
    if not {"accepted", "similarity_to_previous", "similarity_to_next"} <= set(quality.columns):
        return []
    used = quality[quality["accepted"].astype(bool)]
    for column, which, wrong in (("similarity_to_next", "after", "low"), ("similarity_to_previous", "before", "high")):
        known = used[column].dropna()
        if len(known) >= FEWEST_PAIRS and (known > 0).mean() >= ONE_OFF_SHARE:
            return [
                f"{(known > 0).sum()} of {len(known)} FIB-SEM slices fit the TXM slice {which} their own better: the "
                f"numbers of the FIB-SEM slices are one too {wrong}. Renumber them."
            ]
    return []


def _other_contrast(quality: pd.DataFrame) -> list[str]:
    """Slices of both signs of contrast in one set: of two detectors, or some of them inverted."""
    if not {"accepted", "correlation_after"} <= set(quality.columns):
        return []
    used = quality[quality["accepted"].astype(bool)]
    above = used[used["correlation_after"] > CLEAR_CORRELATION]
    below = used[used["correlation_after"] < -CLEAR_CORRELATION]
    if above.empty or below.empty:
        return []
    few, many = (above, below) if len(above) < len(below) else (below, above)
    return [
        f"The contrast of the FIB-SEM slices of {len(few)} of {len(used)} pairs is inverted against the others': "
        f"{_named(few['pair'].astype(str).tolist())} (their correlation with the TXM is "
        f"{few['correlation_after'].median():.2f}, of the others {many['correlation_after'].median():.2f}). A network "
        "cannot learn both: give slices of one detector, save these again inverted (255 - image), or leave them out."
    ]


def _at_end(quality: pd.DataFrame) -> list[str]:
    """Slices that were sought in the volume and found where it ends."""
    if not {"accepted", "at_end"} <= set(quality.columns):
        return []
    used = quality[quality["accepted"].astype(bool)]
    return end_warnings(used[used["at_end"].astype(bool)]["pair"].astype(str).tolist(), len(used))


def end_warnings(names: list[str], used: int) -> list[str]:
    """That some of so many FIB-SEM slices may lie beyond the volume; nothing where there are none."""
    if not names:
        return []
    return [
        f"{len(names)} of {used} FIB-SEM slices were found where the TXM volume begins or ends, and may lie beyond it: "
        f"{_named(names)}. A slice from a few slices beyond fits best there, at a place and a tilt that are not its "
        "own. Look at them, and leave out those that do not lie in the volume."
    ]


def _stretched(quality: pd.DataFrame) -> list[str]:
    """Slices that are stretched, though registered as if they were not."""
    if not {"accepted", "stretch", "stretch_px"} <= set(quality.columns):
        return []
    used = quality[quality["accepted"].astype(bool)]
    found = used[used["stretch_px"] > 0]
    sizes = zip(found["stretch"], found["stretch_px"], strict=True)
    of = dict(zip(found["pair"].astype(str), sizes, strict=True))
    return stretch_warnings(of, len(used), sought="plane" in quality.columns)


def stretch_warnings(stretched: Mapping[str, tuple[float, float]], used: int, *, sought: bool) -> list[str]:
    """That some of so many FIB-SEM slices fit better stretched; nothing where there are none.

    Args:
        stretched: of each by name the ratio of its scales, and by how many TXM pixels its corners would move.
        used: all slices.
        sought: whether in the volume, where no slice is stretched.
    """
    if not stretched:
        return []
    ratio, corners = (median(values) for values in zip(*stretched.values(), strict=True))
    remedy = "Save them with square pixels, their tilt corrected" if sought else "Set register.transform: affine"
    return [
        f"{len(stretched)} of {used} FIB-SEM slices fit clearly better stretched, by {100 * (ratio - 1):.1f} % in the "
        f"median: {_named(list(stretched))}. As they were registered, their corners lie {corners:.1f} TXM pixels from "
        f"where they then would. {remedy}."
    ]


def _odd_scale(quality: pd.DataFrame) -> list[str]:
    """Pairs with slices that match at another scale than that of their files' pixel sizes."""
    if not {"accepted", "scale", "stated_scale"} <= set(quality.columns):
        return []
    used = quality[quality["accepted"].astype(bool)]
    apart = (used["stated_scale"] / used["scale"] - 1).abs() > DOUBTFUL_SCALE  # false where no size is stated
    if not apart.any():
        return []
    first = used[apart].iloc[0]
    return [
        f"The files of {apart.sum()} of {len(used)} pairs state pixel sizes that do not fit their slices: in pair "
        f"{first['pair']} a FIB-SEM pixel is {first['stated_scale']:.3g} TXM pixels by the files, and "
        f"{first['scale']:.3g} as the slices match. If the TXM's size is the wrong one, all lengths of the volume are."
    ]


def adjacent_slices(pairs: pd.DataFrame) -> list[str]:
    """Test pairs with a TXM slice directly beside a training slice.

    Args:
        pairs: columns `pair`, `split` and `z` (NaN where it is not known).
    """
    train, test = (pairs[(pairs["split"] == name) & pairs["z"].notna()] for name in ("train", "test"))
    trained = train["z"].to_numpy(dtype=float)
    positions = zip(test["pair"].astype(str), test["z"].to_numpy(dtype=float), strict=True)
    beside = [pair for pair, z in positions if (abs(trained - z) <= 1).any()]
    if not beside:
        return []
    return [
        f"The TXM slices of the test pairs {', '.join(beside[:5])}{' and more' if len(beside) > 5 else ''} lie "
        "directly beside slices that were trained on, and show nearly the same place: the scores are too "
        "good. Part the splits along z."
    ]
