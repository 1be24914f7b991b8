"""Random numbers of a step, from a seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from txm2sem_core.acceleration.draws import Draw, Draws, Places


def draws(seed: int = 0) -> Draws:
    return Draws(torch.Generator().manual_seed(seed), torch.device("cpu"))


class KnownPlaces(Draws):
    """Draws that know the places that they made last."""

    last: Places

    def places(self, noted: Sequence[Draw]) -> Places:
        self.last = super().places(noted)
        return self.last
