"""How many pixels of the results show one of the TXM, where the table leaves it to the sizes of the pixels."""

from __future__ import annotations

import math
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config import PhantomSettings
from txm2sem_core.errors import ConfigError
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import AUTO, Sample


def with_factor(sample: Sample, phantom: PhantomSettings, raw: Path) -> Sample:
    """The sample with a number in its column `super_resolution` where that says `auto`.

    It is 1 (an empty column), 2, 4 or 8, whichever is nearest, by its logarithm, to the ratio of the pixel sizes that
    the table and the files state; of a phantom that of its settings.

    Args:
        sample: a row of the table.
        phantom: settings of its phantom, if it is one.
        raw: where a phantom leaves its files.

    Raises:
        ConfigError: the sizes are not known.
        InputError: a file cannot be read.
    """
    if sample.super_resolution != AUTO:
        return sample
    plain = sample.model_copy(update={"super_resolution": None})
    factor = phantom.super_resolution if sample.source == "phantom" else _nearest(plain, raw)
    return plain if factor == 1 else plain.model_copy(update={"super_resolution": str(factor)})


def _nearest(sample: Sample, raw: Path) -> int:
    scale = list_pairs(sample, raw)[0].stated_scale  # the same of all pairs, or their files contradict one another
    if not math.isfinite(scale):
        raise ConfigError(
            f"sample {sample.sample}, column super_resolution: {AUTO} needs the sizes of both kinds of pixels, which "
            "table and files do not state. Fill the columns voxel_size_nm and sem_pixel_size_nm, or write 2, 4 or 8."
        )
    return min((1, *io.FINER), key=lambda factor: abs(math.log(factor * scale)))
