"""How many neighbouring slices the samples can give a network."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from txm2sem_core.config import Config
from txm2sem_core.errors import ConfigError
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import volume_path

AUTO_CONTEXT = 2  # the best of 0 to 3 that was measured: docs/evidence/z-continuity.md


def widest_context(samples: Iterable[Sample], pair_every: int, results: Path) -> int:
    """What `context: auto` means: TXM slices that a network is given below and above a pair, at most `AUTO_CONTEXT`.

    As many as the pairs of every sample have between them without sharing one, so that no pair has to be left out
    where the splits meet; 0 where a sample does not give the positions of its pairs in a TXM volume.

    Args:
        samples: one, as each has its own context, or several that are to share it.
        pair_every: slices from pair to pair of a phantom, which may not be made yet.
        results: where a sample's raw files lie, in `{sample}/raw`.
    """
    widest = AUTO_CONTEXT
    for sample in samples:
        if sample.source == "phantom" and sample.sought:
            return 0
        if sample.source == "phantom":
            spacing = pair_every
        else:
            positions = [pair.z for pair in list_pairs(sample, results / sample.sample / "raw")]
            if volume_path(sample, results) is None or None in positions:
                return 0
            ordered = sorted(z for z in positions if z is not None)
            spacing = min((b - a for a, b in itertools.pairwise(ordered)), default=1)
        widest = min(widest, (spacing - 1) // 2)
    return widest


def check_context(config: Config, sample: Sample, raw: Path) -> None:
    """Find variants that need the TXM slices around a pair, or others of its volume, where the sample has none.

    Raises:
        ConfigError: names the variant, its key and the column of the sample table.
    """
    if sample.source == "phantom":
        return
    volume = volume_path(sample, raw)
    placed = volume is not None and all(pair.z is not None or pair.sought for pair in list_pairs(sample, raw))
    for name in config.variants:
        variant = config.variant(name)
        if variant.context and not placed:
            raise ConfigError(
                f"variant {name}, key context: it sees {variant.context} TXM slices below and above a pair, but sample "
                f"{sample.sample} does not say where its pairs stand in a TXM volume. Give the columns txm_volume and "
                "pair_z of the sample table, or set train.context to 0."
            )
        if variant.z_penalty.stack and volume is None:
            raise ConfigError(
                f"variant {name}, key z_penalty.stack: it draws slices from the TXM volume, but sample {sample.sample} "
                "has none. Give the column txm_volume of the sample table, or set train.z_penalty.stack to 0."
            )
