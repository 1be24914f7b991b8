"""The notebooks of the documentation run from their first cell to the last, and draw their pictures.

Slow, as it trains a network: a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs/notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# pictures go into files instead of a window, and the last lines tell the test what the notebook found
BEFORE = """
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
def show():
    plt.savefig(f"picture{len(list(__import__('pathlib').Path().glob('picture*')))}.png")
    plt.close("all")
plt.show = show
"""
AFTER = """
import json
print(json.dumps({name: values["PSNR / dB"] for name, values in scores.items()}))
"""


def test_there_is_one_and_it_is_small_and_without_results() -> None:
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        assert path.stat().st_size < 50_000
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert all(not cell.outputs and cell.execution_count is None for cell in code)
        assert not any(line.startswith(("%", "!")) for cell in code for line in cell.source.splitlines())


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_its_network_beats_the_pointwise_map(path: Path, tmp_path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    code = "\n\n".join(cell.source for cell in cells if cell.cell_type == "code")
    (tmp_path / "notebook.py").write_text(BEFORE + code + AFTER)
    environment = {**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "notebook.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    psnr = json.loads(done.stdout.splitlines()[-1])
    assert psnr["feedforward"] > psnr["pointwise"] + 0.2  # dB
    pictures = sorted(tmp_path.glob("picture*.png"))
    assert len(pictures) == 2
    assert all(picture.stat().st_size > 5_000 for picture in pictures)
