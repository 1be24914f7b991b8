"""A shard of a predicted volume that is gone or empty is named; zarr itself would read it as zeros."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_volumes import make_model, make_source

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.inference import predict_volume


@pytest.mark.parametrize("fault", ["gone", "empty"])
def test_a_lost_shard_is_named(tmp_path: Path, fault: str) -> None:
    source = make_source(tmp_path / "txm.tif", (40, 40, 44))
    volume = tmp_path / "v.ome.zarr"
    predict_volume(make_model(tmp_path / "model"), source, volume, device="cpu")
    assert io.open_volume(volume).read(16, 32).any()
    shard = volume / "0/c/1/0/0"
    shard.unlink()
    if fault == "empty":
        shard.touch()
    with pytest.raises(InputError, match=r"shard 0/c/1/0/0 is missing\)\. Make it again"):
        io.open_volume(volume)
