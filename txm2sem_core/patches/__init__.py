"""Cut patches from registered pairs, and make coarser ones for super-resolution.

- `extract`: the split, the positions, the store
- `oblique`: TXM slices about one that lies obliquely in the volume
- `duplicates`: slices of two splits that show the same rock
- `downsample`: coarser TXM images
"""

from txm2sem_core.patches.downsample import downsample_patches, downsample_volume
from txm2sem_core.patches.extract import extract_patches, split_pairs

__all__ = ["downsample_patches", "downsample_volume", "extract_patches", "split_pairs"]
