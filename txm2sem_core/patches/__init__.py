"""Cut patches from registered pairs, and make coarser ones for super-resolution.

- `extract`: the split, the positions, the store
- `duplicates`: slices of two splits that show the same place
- `downsample`: coarser TXM images
"""
