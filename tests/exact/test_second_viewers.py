"""Our OME-Zarr volumes, asked by the programs that read them: the validator of each version, and ome-zarr-py.

They need older packages than ours, so `make test-second` gives them an environment of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.io.zarr_levels import Version

VIEWERS = os.environ.get("TXM2SEM_VIEWERS_PYTHON", "")
CHANNELS = (io.Channel("prediction"), io.Channel("uncertainty", colour="E69F00", from_zero=True))
SHAPE, SIZE_NM = (19, 300, 280), (40.0, 20.0, 10.0)
ASK = """
import json, sys
import numpy as np, zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models import open_ome_zarr

valid = open_ome_zarr(zarr.open_group(sys.argv[1], mode="r"))
(node, *others) = Reader(parse_url(sys.argv[1]))()
assert not others
print(json.dumps({
    "version": valid.ome_zarr_version,
    "shapes": [list(level.shape) for level in node.data],
    "sum": int(np.asarray(node.data[0]).sum()),
    "scale": node.metadata["coordinateTransformations"][0][0]["scale"],
    "units": [axis.get("unit") for axis in node.metadata["axes"]],
    "names": node.metadata.get("channel_names"),
}))
"""


@pytest.mark.skipif(not VIEWERS, reason="make test-second installs ome-zarr-models and ome-zarr")
@pytest.mark.parametrize("channels", [(), CHANNELS], ids=["plain", "channels"])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_second_ome_zarr_is_valid_and_opens(tmp_path: Path, version: Version, channels: Any) -> None:
    array = np.random.default_rng(0).integers(1, 60000, SHAPE).astype(np.uint16)
    whole = np.stack([array, array // 9]) if channels else array
    planes = iter(whole.swapaxes(0, 1)) if channels else iter(whole)
    path = tmp_path / "v.ome.zarr"
    io.write_ome_zarr(path, planes, SHAPE, np.uint16, SIZE_NM, {"txm2sem": {"seed": 3}}, channels, version)
    done = subprocess.run([VIEWERS, "-c", ASK, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    lead: list[Any] = [2] if channels else []
    assert found == {
        "version": version,
        "shapes": [[*lead, 19, 300, 280], [*lead, 10, 150, 140]],
        "sum": int(whole.sum()),
        "scale": [1.0] * len(lead) + list(SIZE_NM),
        "units": [None] * len(lead) + ["nanometer"] * 3,
        "names": ["prediction", "uncertainty"] if channels else None,
    }
