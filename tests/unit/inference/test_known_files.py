"""What the marks of a volume's units know of its files is not read again for their digest."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_models import model, predictor

from txm2sem_core import io
from txm2sem_core.inference import predict_volume
from txm2sem_core.provenance import digests, raw_digest

SHAPE = (40, 300, 320)  # three units of the volume itself, and one level more


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read for digests from now on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(digests, "_YOUNG_NS", 0)  # or nothing that a test has just written would be believed
    digests._kept_of.cache_clear()
    found: list[str] = []
    original = digests._read_block

    def counted(block: tuple[int, Path, int, int]) -> bytes:
        found.append(block[1].name)
        return original(block)

    monkeypatch.setattr(digests, "_read_block", counted)
    return found


@pytest.mark.parametrize("slabs", [1, 3])
def test_the_digest_of_a_predicted_volume_reads_its_metadata_alone(tmp_path: Path, read: list[str], slabs: int) -> None:
    """Also where it was made in slabs; and it is the digest of a copy, which is read whole."""
    source = io.Volume.of_array(np.random.default_rng(0).uniform(-1, 1, SHAPE).astype(np.float32))
    loaded, target = predictor(model("identity")), tmp_path / "p.ome.zarr"
    if slabs > 1:
        for number in range(slabs):
            predict_volume(loaded, source, target, slab=(number + 1, slabs))
    predict_volume(loaded, source, target, only_finish=slabs > 1)
    digests._kept_of.cache_clear()  # as in another process
    found = raw_digest([target])
    assert set(read) == {"zarr.json"}
    files = [file for file in target.rglob("*") if file.is_file() and file.name != "zarr.json"]
    assert len(files) == 5
    read.clear()
    assert raw_digest([shutil.copytree(target, tmp_path / "copy.ome.zarr")]) == found
    assert len(read) > len(files)


def test_a_file_that_is_changed_later_is_read(tmp_path: Path, read: list[str]) -> None:
    source = io.Volume.of_array(np.random.default_rng(0).uniform(-1, 1, SHAPE).astype(np.float32))
    target = tmp_path / "p.ome.zarr"
    predict_volume(predictor(model("identity")), source, target)
    before = raw_digest([target])
    read.clear()
    file = next(file for file in sorted(target.rglob("*")) if file.is_file() and file.name != "zarr.json")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    digests._kept_of.cache_clear()
    assert raw_digest([target]) != before
    assert read == [file.name]
