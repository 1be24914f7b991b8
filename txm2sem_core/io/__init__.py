"""Every file format, voxel sizes and atomic writes. No other module opens an image, a table or a volume by itself.

- `atomic`: a file or folder appears whole or not at all
- `ownership`: what we made, by a mark in it; `outputs`: whether a command may write to its output
- `images`: one greyscale plane a file (TIFF, PNG), folders of them
- `arrays`: arrays of other libraries as volumes
- `volumes`: open volumes of any size lazily, write them as TIFF; `readers/`: one file a format
- `scans`: several scans of one rock on one grid
- `finer`: images and volumes on a finer grid, for super-resolution from the TXM as it was measured
- `given_masks`: what was measured, where the user says it
- `voxel_sizes`, `lengths`, `tiff`, `sequence`, `guards`: what the readers share
- `microscopes`: what electron microscopes state in tags of their own: pixel size, data bar
- `numbers`: the numbers in the names of slices
- `blocks`: slices one by one from chunks of several
- `coarse`: a coarser level of a volume of ours, for pictures
- `ome_zarr`: OME-Zarr 0.4 and 0.5 volumes: metadata, and writing one
- `zarr_levels`: their arrays: shards, pyramid
- `unit_store`: a volume while it is made, unit by unit
- `locks`: of folders, between processes
- `patch_store`: registered pairs and the index of their patches; `stored_images`: their images, read as needed
- `registered`: slices as the register stage left them, and a volume on the planes that it found
- `tables`: CSV, JSON, digests
- `yaml_files`: YAML as data from a stranger
"""

from txm2sem_core.io.arrays import ArrayLike, volume_of
from txm2sem_core.io.atomic import atomic_path, check_standing, working_path
from txm2sem_core.io.finer import FACTORS as FINER
from txm2sem_core.io.finer import finer_image, finer_path, finer_points, finer_size, split_finer
from txm2sem_core.io.given_masks import check_share, read_measured, with_mask
from txm2sem_core.io.images import (
    image_kind,
    list_images,
    not_zero,
    read_bar_rows,
    read_image,
    read_mask,
    read_slice,
    read_voxel_size_nm,
    write_tiff,
)
from txm2sem_core.io.landmarks import read_bigwarp, read_napari
from txm2sem_core.io.locks import exclusive
from txm2sem_core.io.numbers import NUMBER, NumberedFile, number_by_pattern, number_files
from txm2sem_core.io.ome_zarr import Channel, write_ome_zarr
from txm2sem_core.io.outputs import check_apart, check_output, output_path, printable
from txm2sem_core.io.ownership import MANIFEST, MARK, SOFTWARE, read_marks, record_files
from txm2sem_core.io.patch_store import PatchStore, read_patch_store, write_patch_store
from txm2sem_core.io.registered import plane_as_text, plane_of_text, read_registered, registered_file, volume_on
from txm2sem_core.io.scan_names import name_of_scan
from txm2sem_core.io.scans import scans_of, with_further
from txm2sem_core.io.stored_images import MIDDLE_PX, REACH_Z, PairImages
from txm2sem_core.io.tables import read_csv, read_json, read_text, sha256_file, write_csv, write_json, write_text
from txm2sem_core.io.unit_store import UnitStore, volume_units
from txm2sem_core.io.volumes import (
    UNMEASURED,
    WHOLE_SLICES,
    Volume,
    has_volume_suffix,
    open_volume,
    ranges_as_text,
    write_volume_tiff,
    write_volume_tiffs,
)
from txm2sem_core.io.voxel_sizes import VoxelSize
from txm2sem_core.io.yaml_files import read_yaml

__all__ = [
    "FINER",
    "MANIFEST",
    "MARK",
    "MIDDLE_PX",
    "NUMBER",
    "REACH_Z",
    "SOFTWARE",
    "UNMEASURED",
    "WHOLE_SLICES",
    "ArrayLike",
    "Channel",
    "NumberedFile",
    "PairImages",
    "PatchStore",
    "UnitStore",
    "Volume",
    "VoxelSize",
    "atomic_path",
    "check_apart",
    "check_output",
    "check_share",
    "check_standing",
    "exclusive",
    "finer_image",
    "finer_path",
    "finer_points",
    "finer_size",
    "has_volume_suffix",
    "image_kind",
    "list_images",
    "name_of_scan",
    "not_zero",
    "number_by_pattern",
    "number_files",
    "open_volume",
    "output_path",
    "plane_as_text",
    "plane_of_text",
    "printable",
    "ranges_as_text",
    "read_bar_rows",
    "read_bigwarp",
    "read_csv",
    "read_image",
    "read_json",
    "read_marks",
    "read_mask",
    "read_measured",
    "read_napari",
    "read_patch_store",
    "read_registered",
    "read_slice",
    "read_text",
    "read_voxel_size_nm",
    "read_yaml",
    "record_files",
    "registered_file",
    "scans_of",
    "sha256_file",
    "split_finer",
    "volume_of",
    "volume_on",
    "volume_units",
    "with_further",
    "with_mask",
    "working_path",
    "write_csv",
    "write_json",
    "write_ome_zarr",
    "write_patch_store",
    "write_text",
    "write_tiff",
    "write_volume_tiff",
    "write_volume_tiffs",
]
