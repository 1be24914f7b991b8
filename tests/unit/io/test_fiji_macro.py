"""The macro of the documentation, run by ImageJ itself on a screen that nobody sees.

Where Java's compiler, ImageJ's jar (Debian's package `imagej`, or `IJ_JAR=/path/to/ij.jar`) and Xvfb are there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from txm2sem_core import io

JAR = Path(os.environ.get("IJ_JAR", "/usr/share/java/ij.jar"))
MACRO = Path(__file__).resolve().parents[3] / "docs/macros/open_txm2sem.ijm"
RUN = """
class RunMacro {
    public static void main(String[] given) throws Exception {
        String text = new String(java.nio.file.Files.readAllBytes(java.nio.file.Paths.get(given[0])));
        ij.macro.Interpreter macro = new ij.macro.Interpreter();
        macro.setIgnoreErrors(true);
        ij.macro.Interpreter.batchMode = true;
        macro.run(text, given[1]);
        System.out.println("error: " + macro.getErrorMessage());
        for (int id : ij.WindowManager.getIDList()) {
            ij.ImagePlus image = ij.WindowManager.getImage(id);
            ij.measure.Calibration size = image.getCalibration();
            System.out.println(image.getTitle() + "|" + image.getNSlices() + "|" + size.pixelDepth + " "
                + size.pixelHeight + " " + size.pixelWidth + "|" + image.getCurrentSlice());
        }
        System.exit(0);
    }
}
"""


@pytest.fixture
def display() -> Iterator[str]:
    """A screen in memory."""
    if not (JAR.is_file() and shutil.which("javac") and shutil.which("Xvfb")):
        pytest.skip("ImageJ, Java's compiler or Xvfb is not installed")
    screen = subprocess.Popen(["Xvfb", "-displayfd", "1"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert screen.stdout is not None
    yield f":{screen.stdout.readline().strip()}"
    screen.terminate()
    screen.wait()


def test_the_macro_opens_volume_and_txm_with_their_size(tmp_path: Path, display: str) -> None:
    sample = tmp_path / "results/rock"
    voxels = np.random.default_rng(0).integers(0, 255, (9, 20, 24)).astype(np.uint8)
    made = sample / "volumes/feedforward/seed0"
    made.mkdir(parents=True)
    io.write_volume_tiff(made / "sem.tif", iter(voxels), (40.0, 20.0, 10.0), 9)
    io.write_ome_zarr(made / "sem.ome.zarr", iter(voxels), voxels.shape, voxels.dtype, (40.0, 20.0, 10.0))
    for z, plane in enumerate(voxels):
        io.write_tiff(sample / f"raw/txm_volume/txm_{z:03d}.tif", plane)
    (tmp_path / "RunMacro.java").write_text(RUN)
    subprocess.run(["javac", "-cp", str(JAR), "RunMacro.java"], cwd=tmp_path, check=True)
    command = ["java", "-cp", f"{JAR}:{tmp_path}", "RunMacro", str(MACRO), str(sample)]
    environment = {**os.environ, "DISPLAY": display, "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.splitlines()
    assert "error: null" in lines, done.stdout + done.stderr
    assert lines[-2:] == ["feedforward/seed0/sem.tif|9|0.04 0.02 0.01|5", "TXM|9|0.04 0.02 0.01|5"]
