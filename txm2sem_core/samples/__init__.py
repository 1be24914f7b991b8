"""The sample table and what it names: all that can be refused before a job runs.

- `table`: the rows
- `pairs`, `raw_pairs`: the pairs of slices that a row names, and how they are read
- `volume`: the TXM volume that a row names, and its voxel size
- `splits`: which pairs are for training, validation and test
- `context`: neighbouring slices that a network may see
- `feasibility`: whether a sample has what its variants need
- `finer_factor`: super-resolution by the pixel sizes
- `stated_scales`: pixel sizes of FIB-SEM slices that can only be of another unit
- `stated_sizes`: voxel sizes that contradict each other
- `pixel_checks`: phases, thresholds and ranges against the pixels
- `slice_position`: whether a slice is the slice of the volume at the stated z
- `warnings`: warnings about pairs and splits
- `preflight`: a whole configuration, checked
"""

from txm2sem_core.samples.context import check_context, widest_context
from txm2sem_core.samples.feasibility import check_labels, check_sample
from txm2sem_core.samples.pairs import label_files, labels_of_pairs, list_pairs, pair_files
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.samples.table import Sample, parse_sample, read_samples
from txm2sem_core.samples.volume import (
    open_sample_volume,
    plane_pixel_size_nm,
    sample_voxel_size_nm,
    volume_files,
    volume_path,
)

__all__ = [
    "RawPair",
    "Sample",
    "check_context",
    "check_labels",
    "check_sample",
    "label_files",
    "labels_of_pairs",
    "list_pairs",
    "open_sample_volume",
    "pair_files",
    "parse_sample",
    "plane_pixel_size_nm",
    "read_samples",
    "sample_voxel_size_nm",
    "volume_files",
    "volume_path",
    "widest_context",
]
