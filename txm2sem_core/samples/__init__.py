"""The sample table and what it names: all that can be refused before a job runs.

- `table`: the rows
- `pairs`, `raw_pairs`: the pairs of slices that a row names, and how they are read
- `volume`: the TXM volume that a row names, and its voxel size
- `splits`: which pairs are for training, validation and test
- `context`: neighbouring slices that a network may see
- `feasibility`: whether a sample has what its variants need
- `stated_sizes`: voxel sizes that contradict each other
- `pixel_checks`: phases, thresholds and ranges against the pixels
- `slice_place`: whether a slice is the one of the volume that it is said to be
- `warnings`: what makes pairs and splits doubtful, in sentences
- `preflight`: a whole configuration, checked
"""
