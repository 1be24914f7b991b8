"""The reader in a real viewer of napari, on a screen in memory (Xvfb): `make test-second`.

napari needs older packages than ours, so it has the environment of the other viewers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import txm2sem_core
from txm2sem_core import io

VIEWERS = os.environ.get("TXM2SEM_VIEWERS_PYTHON", "")
MANIFEST = Path(txm2sem_core.__file__).parent / "napari_plugin/napari.yaml"
SHOW = """
import json, sys, time
import napari
from npe2 import PluginManager, PluginManifest
from qtpy.QtWidgets import QApplication

PluginManager.instance().register(PluginManifest.from_file(sys.argv[1]))
viewer = napari.Viewer()  # the screen is not seen
viewer.open(sys.argv[2], plugin="txm2sem")
viewer.dims.set_current_step(0, 2)
for _ in range(20):  # as they come while somebody looks
    QApplication.processEvents()
    time.sleep(0.05)
picture = viewer.screenshot(canvas_only=True, flash=False)
found = [[layer.name, bool(layer.visible), [float(one) for one in layer.scale]] for layer in viewer.layers]
print(json.dumps({"layers": found, "grey levels": len(set(picture[..., 0].ravel().tolist()))}))
"""


@pytest.mark.skipif(not VIEWERS, reason="make test-second installs napari")
@pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed")
def test_second_napari_shows_a_folder_of_results(tmp_path: Path) -> None:
    if subprocess.run([VIEWERS, "-c", "import napari, PyQt6"], capture_output=True, check=False).returncode:
        pytest.skip("napari is not installed")
    sample, size_nm = tmp_path / "results/rock", (40.0, 20.0, 10.0)
    voxels = np.random.default_rng(0).integers(1, 255, (5, 60, 80)).astype(np.uint8)
    io.write_volume_tiff(sample / "raw/truth/sem.tif", iter(voxels), size_nm)
    path = sample / "volumes/feedforward/seed0/sem.ome.zarr"
    io.write_ome_zarr(path, iter(voxels), voxels.shape, voxels.dtype, size_nm, {"txm2sem": {}})
    (tmp_path / "results/.txm2sem-results").touch()
    screen = subprocess.Popen(["Xvfb", "-displayfd", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert screen.stdout is not None
        display = f":{screen.stdout.readline().strip()}"
        package = str(Path(txm2sem_core.__file__).parents[1])
        environment = {**os.environ, "DISPLAY": display, "HOME": str(tmp_path), "PYTHONPATH": package}
        command = [VIEWERS, "-c", SHOW, str(MANIFEST), str(tmp_path / "results")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    finally:
        screen.terminate()
        screen.wait()
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    scale = list(size_nm)
    assert found["layers"] == [["prediction: feedforward seed0", True, scale], ["truth", False, scale]]
    assert found["grey levels"] > 100  # it has drawn the noise
