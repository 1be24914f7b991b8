"""What makes pairs and their splits doubtful, in sentences for the log, `model.json` and the report."""

from __future__ import annotations

import pandas as pd

# a registration is doubtful where it passed, but its slices agree little more than by chance or its halves disagree
DOUBTFUL_SIMILARITY = 0.05  # normalised mutual information over that of the slices displaced
DOUBTFUL_DISAGREEMENT_PX = 1.0
DOUBTFUL_SCALE = 0.05  # of the scale that was found, to that of the pixel sizes which the files state


def registration_warnings(quality: pd.DataFrame) -> list[str]:
    """Pairs that passed the registration with little margin, or at an odd scale; `quality` is its table."""
    return [*_little_margin(quality), *_odd_scale(quality)]


def _little_margin(quality: pd.DataFrame) -> list[str]:
    needed = {"accepted", "similarity_after", "similarity_chance", "disagreement_px"}
    if not needed <= set(quality.columns):
        return []
    used = quality[quality["accepted"].astype(bool)]
    weak = used["similarity_after"] - used["similarity_chance"] < DOUBTFUL_SIMILARITY
    loose = used["disagreement_px"] > DOUBTFUL_DISAGREEMENT_PX
    doubtful = used[weak | loose]["pair"].astype(str).tolist()
    if not doubtful:
        return []
    named = ", ".join(doubtful[:5]) + (f" and {len(doubtful) - 5} more" if len(doubtful) > 5 else "")
    return [
        f"The registration of {len(doubtful)} of {len(used)} pairs is doubtful, though it passed: {named}. Misplaced "
        "slices lower every score. Look at them in the registration figure."
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
    places = zip(test["pair"].astype(str), test["z"].to_numpy(dtype=float), strict=True)
    beside = [pair for pair, z in places if (abs(trained - z) <= 1).any()]
    if not beside:
        return []
    return [
        f"The TXM slices of the test pairs {', '.join(beside[:5])}{' and more' if len(beside) > 5 else ''} lie "
        "directly beside slices that were trained on, and show nearly the same place: the scores are too "
        "good. Part the splits along z."
    ]
