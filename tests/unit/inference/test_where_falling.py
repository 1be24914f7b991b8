"""The search for the coherence of the noise: what interpolation over all places finds, asked seldom."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.inference.coherence import COHERENCES, where_falling

falls = st.lists(st.floats(0.01, 1), min_size=len(COHERENCES), max_size=len(COHERENCES))


@given(falls, st.floats(-1, 7))
def test_the_place_is_that_of_interpolation_over_all(steps: list[float], wanted: float) -> None:
    values = np.cumsum(steps)[::-1]
    asked = []

    def change(coherence: float) -> float:
        asked.append(coherence)
        return float(values[COHERENCES.index(coherence)])

    found = where_falling(change, COHERENCES, wanted)
    assert found == pytest.approx(np.interp(-wanted, -values, COHERENCES), abs=1e-9)
    assert len(asked) == len(set(asked)) <= 4
