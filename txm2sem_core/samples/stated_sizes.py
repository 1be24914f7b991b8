"""What a sample's table and files say of the size of its voxels, and where they contradict each other.

Differences of less than 1 % come from rounding, and are not reported. Of slices the size along z is not looked at: a
single slice has none of its own. Sizes of FIB-SEM slices may be others than the TXM's, as registration scales them, but
not by a power of ten that it would not find.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config import Config
from txm2sem_core.errors import ConfigError
from txm2sem_core.io import VoxelSize
from txm2sem_core.io.voxel_sizes import ROUNDED, UNKNOWN, differing_axes
from txm2sem_core.samples.pairs import label_files, list_pairs
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import further_volumes, open_measured_volume


@dataclass(frozen=True)
class Contradiction:
    """Files of one kind that state another voxel size than the one that is used, or than their partners.

    Attributes:
        text: what both say, in one sentence.
        unit: the factor, where it is a power of ten along an axis, and so an error of the unit; else 1.
        stated: what the files say; along z, where they say nothing, what is used, in their unit.
    """

    text: str
    unit: float
    stated: VoxelSize


def check_sizes(config: Config, sample: Sample, raw: Path) -> list[str]:
    """Contradictions of the voxel size, in sentences for the log.

    Raises:
        ConfigError: one is by a power of ten, and the sample does not say `voxel_size_from = table`.
    """
    if sample.source == "phantom":
        table, stated = sample.voxel_size(), config.phantom_of(sample.sample).txm_voxel_size_nm
        found = (
            [] if table is None else _compared(sample, table, "the table", [(Path("phantom.voxel_size_nm"), stated)])
        )
    else:
        found = contradictions(sample, raw, config.register_.scales)
    for each in found:
        if each.unit != 1 and sample.voxel_size_from is None:
            raise ConfigError(f"{each.text} {_remedy(each)}")
    return [each.text for each in found]


def contradictions(sample: Sample, raw: Path, scales: tuple[float, float] = (1.0, 1.0)) -> list[Contradiction]:
    """Where table, TXM volumes, TXM slices, FIB-SEM slices and masks of a sample contradict each other.

    Args:
        sample: any but a phantom that is not made yet.
        raw: where a phantom left its files.
        scales: least and greatest width of a FIB-SEM pixel in TXM pixels that registration finds.
    """
    pairs = list_pairs(sample, raw)
    first, further = [p.txm for p in pairs if not p.sought], [path for p in pairs for path in p.further]
    slices = [path for p in pairs for path in (p.sem, p.registered_by) if path is not None]
    txm, sem = ([(path, _in_plane(path)) for path in paths] for paths in ([*first, *further], slices))
    volume = open_measured_volume(sample, raw)
    used: VoxelSize | None = sample.voxel_size()
    source = "column voxel_size_nm of the table"
    found: list[Contradiction] = []
    if volume is not None and volume.voxel_size_nm is not None:
        if used is None:
            used, source = volume.voxel_size_nm, volume.source
        else:
            found += _compared(sample, used, source, [(Path(volume.source), volume.voxel_size_nm)])
    if used is None:
        used, source = next(((size, str(path)) for path, size in txm if size != UNKNOWN), (UNKNOWN, ""))
    found += _compared(sample, used, source, txm)
    others = [io.open_volume(path) for path in further_volumes(sample, raw)]
    found += _compared(sample, used, source, [(Path(each.source), each.voxel_size_nm or UNKNOWN) for each in others])
    least, greatest = scales[0] / (1 + ROUNDED), scales[1] * (1 + ROUNDED)
    found += [
        each for each in _compared(sample, used, source, sem) if each.unit != 1 and not least <= each.unit <= greatest
    ]
    found += _of_masks(sample, pairs, dict(txm + sem))
    return found if volume is None else found + _of_volume_mask(sample, volume, used)


def _of_masks(sample: Sample, pairs: Sequence[RawPair], sizes: dict[Path, VoxelSize]) -> list[Contradiction]:
    """Masks and labels that say something else than their slice; no size is taken from them."""
    labels = label_files(sample)
    found = []
    for pair in pairs:
        on_sem = (pair.charge, *pair.extra.values(), pair.sem_measured, labels.get(pair.pair))
        for mask, image in [(pair.txm_measured, pair.txm), *((mask, pair.sem) for mask in on_sem)]:
            if mask is not None:
                found += _compared(sample, sizes[image], str(image), [(mask, _in_plane(mask))])
    return _unique(found)


def _of_volume_mask(sample: Sample, volume: io.Volume, used: VoxelSize) -> list[Contradiction]:
    """The same of the volume's mask; one that is a single slice has no size along z."""
    if volume.mask is None or volume.mask.voxel_size_nm is None:
        return []
    return _unique(_compared(sample, used, volume.source, [(Path(volume.mask.source), volume.mask.voxel_size_nm)]))


def _unique(found: Sequence[Contradiction]) -> list[Contradiction]:
    """The first contradiction alone; never refused, since nothing is computed with this size."""
    return [Contradiction(each.text, 1.0, each.stated) for each in found[:1]]


def _in_plane(path: Path) -> VoxelSize:
    _, y_nm, x_nm = io.read_voxel_size_nm(path) or UNKNOWN
    return (None, y_nm, x_nm)


def _compared(
    sample: Sample, used: VoxelSize, source: str, stated: Iterable[tuple[Path, VoxelSize]]
) -> list[Contradiction]:
    """One contradiction for each size that files state."""
    files: dict[VoxelSize, list[Path]] = {}
    for path, size in stated:
        if differing_axes(used, size):
            files.setdefault(size, []).append(path)
    return [
        Contradiction(
            f"sample {sample.sample}: the voxel size is {_shown(used)} by {source}, but the file"
            f"{'s say' if len(paths) > 1 else ' says'} {_shown(size)}: {paths[0]}"
            f"{f' and {len(paths) - 1} more' if len(paths) > 1 else ''}.",
            _unit(used, size),
            _completed(used, size),
        )
        for size, paths in files.items()
    ]


def _shown(size: VoxelSize) -> str:
    known = [(axis, length) for axis, length in zip("zyx", size, strict=True) if length is not None]
    return f"{', '.join(f'{length:g}' for _, length in known)} nm ({', '.join(axis for axis, _ in known)})"


def _unit(used: VoxelSize, stated: VoxelSize) -> float:
    """The power of ten between two sizes along the first axis where there is one, else 1."""
    for here, there in zip(used, stated, strict=True):
        if here and there:
            power = 10.0 ** round(math.log10(there / here))
            if power != 1 and math.isclose(there / here, power, rel_tol=ROUNDED):
                return power
    return 1.0


def _completed(used: VoxelSize, stated: VoxelSize) -> VoxelSize:
    z_nm, y_nm, x_nm = stated
    return (z_nm or (None if used[0] is None else used[0] * _unit(used, stated)), y_nm, x_nm)


def _remedy(each: Contradiction) -> str:
    stated = ",".join(axis if size is None else f"{size:g}" for axis, size in zip("zyx", each.stated, strict=True))
    return (
        f"A factor of {max(each.unit, 1 / each.unit):.0f} is one of units, and sizes are in nanometres. If the file is "
        f"right, write voxel_size_nm = {stated} into the sample table; if it is wrong, write the right size there, and "
        f"`table` into the column voxel_size_from."
    )
