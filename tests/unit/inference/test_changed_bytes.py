"""One byte of a finished volume that changes later (a bad disk, a copy that broke) is found when it is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_volumes import make_model, make_source

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.inference import predict_volume

BYTES = 30


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volume")
    source = make_source(folder / "txm.tif", (20, 40, 300))
    predict_volume(make_model(folder / "model"), source, folder / "v.ome.zarr", device="cpu")
    return folder / "v.ome.zarr"


@pytest.mark.parametrize("seed", range(BYTES))
def test_a_changed_byte_of_a_shard_is_found_and_the_volume_named(volume: Path, tmp_path: Path, seed: int) -> None:
    """Anywhere in it: voxels, checksums and the index of its chunks; also the very first and last."""
    copy = tmp_path / "v.ome.zarr"
    shutil.copytree(volume, copy)
    shard = copy / "0/c/0/0/0"
    data = bytearray(shard.read_bytes())
    rng = np.random.default_rng(seed)
    place = {0: 0, 1: len(data) - 1}.get(seed, int(rng.integers(len(data))))
    data[place] ^= int(rng.integers(1, 256))
    shard.write_bytes(data)
    with pytest.raises(InputError, match=r"v\.ome\.zarr: slices 0 to 15 are damaged \(.+\)\. Copy or make it again"):
        io.open_volume(copy).read(0, 16)
    assert io.open_volume(copy).read(16, 20).any()  # what lies in other shards can be read
