"""The plugin in a real viewer of napari, on a screen in memory (Xvfb): `make test-second`.

napari needs older packages than ours, so it has the environment of the other viewers. What its widgets do is tested
without it in `tests/unit/test_napari_logic.py`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from saved_models import saved

import txm2sem_core
from txm2sem_core import io
from txm2sem_core.inference import predict_volume

VIEWERS = os.environ.get("TXM2SEM_VIEWERS_PYTHON", "")
MANIFEST = Path(txm2sem_core.__file__).parent / "napari_plugin/napari.yaml"
BEGIN = """
import json, sys, time
from pathlib import Path
import napari, numpy as np
from napari.utils.notifications import notification_manager
from npe2 import PluginManager, PluginManifest
from qtpy.QtWidgets import QApplication

PluginManager.instance().register(PluginManifest.from_file(sys.argv[1]))
folder = Path(sys.argv[2])
viewer = napari.Viewer()  # the screen is not seen


def wait(until, seconds=100):
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen"
        QApplication.processEvents()
        time.sleep(0.01)
"""
SHOW = """
viewer.open(str(folder / "results"), plugin="txm2sem")
viewer.dims.set_current_step(0, 2)
for _ in range(20):  # as they come while somebody looks
    QApplication.processEvents()
    time.sleep(0.05)
picture = viewer.screenshot(canvas_only=True, flash=False)
found = [[layer.name, bool(layer.visible), [float(one) for one in layer.scale]] for layer in viewer.layers]
print(json.dumps({"layers": found, "grey levels": len(set(picture[..., 0].ravel().tolist()))}))
"""
PREDICT = """
from txm2sem_core.io import Volume
from txm2sem_core.napari_plugin.arrays import VolumeArray

voxels = np.load(folder / "voxels.npy")


def slowly(z0, z1):  # so that it can be stopped
    time.sleep(0.02)
    return voxels[z0:z1]


slow = VolumeArray(Volume(voxels.shape, voxels.dtype, None, "slow", slowly))
options = {"scale": (64, 32, 32), "units": ("nm",) * 3}
txm = viewer.add_image(slow, name="TXM", contrast_limits=(0, 255), **options)
_, widget = viewer.window.add_plugin_dock_widget("txm2sem", "Predict a TXM volume")
bar, cancel = widget[-2], widget[-1]
idle = lambda: widget.call_button.enabled and not cancel.visible
widget.txm.value = txm

widget.model.value = folder / "empty"
widget.call_button.native.click()
wait(lambda: notification_manager.records)
wait(idle)
said = [str(one.message) for one in notification_manager.records]

widget.model.value = folder / "model"
widget.call_button.native.click()
assert not idle()
wait(lambda: bar.value >= 3)
seen = [bar.value, bar.max]
cancel.native.click()
wait(idle)
stopped = len(viewer.layers)

widget.call_button.native.click()
wait(lambda: len(viewer.layers) > 1)
wait(idle)
layer = viewer.layers[-1]
np.save(folder / "predicted.npy", layer.data)
print(json.dumps({"said": said, "seen": seen, "stopped": stopped, "name": layer.name,
                  "scale": [float(one) for one in layer.scale], "units": [str(one) for one in layer.units]}))
"""
MARK = """
from napari._app_model.actions._file import new_points

images = [viewer.add_image(np.zeros((40, 48), np.uint8), name=name, scale=scale, units=("nm",) * 2)
          for name, scale in (("TXM slice", (32, 32)), ("FIB-SEM slice", (8, 8)))]
marks = []
for image, points in zip(images, json.loads(sys.argv[3])):
    new_points(viewer)  # the button above the list of layers; its points are in units of the finest image
    layer = viewer.layers[-1]
    layer.add(np.array(points) * image.scale / layer.scale)
    marks.append(layer)
_, widget = viewer.window.add_plugin_dock_widget("txm2sem", "Landmarks of a pair")
values = {"txm": images[0], "txm_points": marks[0], "sem": images[1], "sem_points": marks[1], "pair": "003"}
for name, value in {**values, "folder": folder / "marks"}.items():
    getattr(widget, name).value = value
widget.call_button.native.click()
widget.call_button.native.click()  # they are there already
print(json.dumps([str(one.message) for one in notification_manager.records]))
"""

In = Callable[..., Any]


@pytest.fixture
def in_napari(tmp_path: Path) -> Iterator[In]:
    """Runs a script in a viewer, with this folder and further arguments; returns what it printed last, as JSON."""
    if not VIEWERS:
        pytest.skip("make test-second installs napari")
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed")
    if subprocess.run([VIEWERS, "-c", "import napari, PyQt6"], capture_output=True, check=False).returncode:
        pytest.skip("napari is not installed")
    screen = subprocess.Popen(["Xvfb", "-displayfd", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert screen.stdout is not None
    display = f":{screen.stdout.readline().strip()}"

    def run(script: str, *arguments: str) -> Any:
        package = str(Path(txm2sem_core.__file__).parents[1])
        environment = {**os.environ, "DISPLAY": display, "HOME": str(tmp_path), "PYTHONPATH": package}
        command = [VIEWERS, "-c", BEGIN + script, str(MANIFEST), str(tmp_path), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    try:
        yield run
    finally:
        screen.terminate()
        screen.wait()


def test_second_napari_shows_a_folder_of_results(tmp_path: Path, in_napari: In) -> None:
    sample, size_nm = tmp_path / "results/rock", (40.0, 20.0, 10.0)
    voxels = np.random.default_rng(0).integers(1, 255, (5, 60, 80)).astype(np.uint8)
    io.write_volume_tiff(sample / "raw/truth/sem.tif", iter(voxels), size_nm)
    path = sample / "volumes/feedforward/seed0/sem.ome.zarr"
    io.write_ome_zarr(path, iter(voxels), voxels.shape, voxels.dtype, size_nm, {"txm2sem": {}})
    (tmp_path / "results/.txm2sem-results").touch()
    found = in_napari(SHOW)
    scale = list(size_nm)
    assert found["layers"] == [["prediction: feedforward seed0", True, scale], ["truth", False, scale]]
    assert found["grey levels"] > 100  # it has drawn the noise


def test_second_napari_predicts_what_it_shows_and_can_be_stopped(tmp_path: Path, in_napari: In) -> None:
    voxels = np.random.default_rng(0).integers(0, 255, (60, 64, 48)).astype(np.uint8)
    np.save(tmp_path / "voxels.npy", voxels)
    model = saved(tmp_path / "model")
    (tmp_path / "empty").mkdir()
    found = in_napari(PREDICT)
    assert len(found["said"]) == 1
    assert "empty" in found["said"][0]
    assert "Traceback" not in found["said"][0]
    assert 3 <= found["seen"][0] < found["seen"][1] == 60
    assert found["stopped"] == 1  # the TXM's alone
    assert (found["name"], found["scale"]) == ("prediction: TXM, model", [64, 32, 32])
    assert found["units"] == ["nanometer"] * 3
    np.testing.assert_array_equal(np.load(tmp_path / "predicted.npy"), predict_volume(model, voxels))


def test_second_napari_writes_landmarks_that_registration_reads(tmp_path: Path, in_napari: In) -> None:
    points = [[(1.5, 2), (30, 40.25), (20, 5)], [(2, 3), (31, 41), (4, 6)]]
    first, second = in_napari(MARK, json.dumps(points))
    assert first.startswith("Written: ")
    assert "the pair has landmarks already" in second
    for name, of_image in zip(("txm", "sem"), points, strict=True):
        found = io.read_napari(tmp_path / f"marks/{name}/003.csv")
        np.testing.assert_allclose(found[:, ::-1], of_image, atol=1e-9)
