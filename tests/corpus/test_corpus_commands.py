"""The corpus through the commands: what is refused ends in one line and exit code 1, with nothing left behind."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from case import grey
from small_data import make_store, tiny
from test_corpus import CORPUS, PNGS
from tiff_files import STACKS, content, tiff
from volume_files import hdf5, two_datasets

from txm2sem_core import cli, io
from txm2sem_core.training import train_model

Command = Callable[..., tuple[int, str]]
REFUSED = [name for name, case in CORPUS.items() if case.refused]
READ = [name for name, case in CORPUS.items() if not case.refused]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process, as `main` does; returns its exit code and what it printed on stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["txm2sem", *map(str, arguments)])
        capfd.readouterr()
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0), capfd.readouterr().err
        return 0, capfd.readouterr().err

    return run


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("corpus")
    make_store(root / "patches")
    train_model(root / "patches", tiny("baseline", generator={"name": "identity"}), 0, root / "model", device="cpu")
    return root / "model"


def files(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


def check_one_line(code: int, printed: str) -> str:
    """The message of a mistake."""
    lines = [line for line in printed.splitlines() if line.startswith("txm2sem: error: ")]
    assert code == 1, printed
    assert "Traceback" not in printed
    assert len(lines) == 1, printed
    assert printed.rstrip().endswith(lines[0])
    return lines[0]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(command: Command, model: Path, tmp_path: Path, name: str) -> None:
    case = CORPUS[name]
    path = case.make(tmp_path)
    before = files(tmp_path)
    for arguments in (
        ("predict", "--model", model, "--input", path, "--output", tmp_path / "out.ome.zarr", "--device", "cpu"),
        ("evaluate", "--prediction", path, "--target", path, "--data-range", 9, "--output", tmp_path / "out.json"),
    ):
        message = check_one_line(*command(*arguments))
        for word in case.refused:
            assert word in message
        assert files(tmp_path) == before


@pytest.mark.parametrize("name", READ)
def test_what_is_read(command: Command, tmp_path: Path, name: str) -> None:
    """Equal volumes are measured as such; an image too small for a figure is refused in one line."""
    path = CORPUS[name].make(tmp_path)
    before = files(tmp_path)
    output = tmp_path / "out.json"
    code, printed = command("evaluate", "--prediction", path, "--target", path, "--data-range", 9, "--output", output)
    if code == 0:
        assert files(tmp_path) == before | {output}
        assert io.read_json(output)["mae"] == 0
    else:
        check_one_line(code, printed)
        assert min(CORPUS[name].array.shape[-2:]) < 11, printed  # type: ignore[union-attr]
        assert files(tmp_path) == before


ONE_OF_EACH = [
    *("uint8 stack", "int16 stack", "float32 stack", "big-endian", "one page and data behind it", "OME in nm"),
    *("one slice", "one pixel", "65,536 wide", "folder with litter", "read-only folder", "OME-Zarr of five axes"),
    *("HDF5 with a named dataset", "MRC in angstrom", "Zeiss .txm"),
]


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_predictions_of_every_format(command: Command, model: Path, tmp_path: Path, name: str) -> None:
    case = CORPUS[name]
    output = tmp_path / "out.tif"
    path = case.make(tmp_path)
    code, printed = command("predict", "--model", model, "--input", path, "--output", output, "--device", "cpu")
    assert code == 0, printed
    predicted = io.open_volume(output)
    assert case.array is not None
    assert predicted.shape == case.array.shape
    assert predicted.voxel_size_nm == (None if case.voxel_size_nm is None else pytest.approx(case.voxel_size_nm))


def test_the_dataset_of_an_hdf5_file_by_name(command: Command, model: Path, tmp_path: Path) -> None:
    path = hdf5(two_datasets)(tmp_path)
    for dataset, depth in (("/entry/data", 5), ("other", 2)):
        output = tmp_path / "out.ome.zarr"
        code, printed = command("predict", "--model", model, "--input", f"{path}:{dataset}", "--output", output)
        assert code == 0, printed
        assert io.open_volume(output).shape[0] == depth
        shutil.rmtree(output)


PLANES = {name: case for name, case in STACKS.items() if case.refused} | {
    f"PNG, {name}": case for name, case in PNGS.items() if case.refused
}


@pytest.mark.parametrize("name", PLANES)
def test_slices_that_cannot_be_registered(command: Command, tmp_path: Path, name: str) -> None:
    good = tiff(grey((64, 64), "uint8"), "good.tif")(tmp_path)
    path = PLANES[name].make(tmp_path)
    before = files(tmp_path)
    message = check_one_line(*command("register", "--fixed", good, "--moving", path, "--output", tmp_path / "out"))
    assert path.name in message
    assert files(tmp_path) == before


def test_masks_of_another_size(command: Command, tmp_path: Path) -> None:
    image = tiff(grey((3, 20, 24), "uint8"))(tmp_path)
    for shape in ((3, 20, 23), (2, 20, 24), (19, 24)):
        mask = tiff(np.ones(shape, np.uint8), "mask.tif")(tmp_path)
        before = files(tmp_path)
        arguments = ("--prediction", image, "--target", image, "--mask", mask, "--output", tmp_path / "out.json")
        message = check_one_line(*command("evaluate", *arguments))
        assert "mask.tif" in message
        assert files(tmp_path) == before


def test_an_output_below_a_file(command: Command, model: Path, tmp_path: Path) -> None:
    path, block = tiff(grey((3, 20, 24), "uint8"))(tmp_path), content(b"x", "file")(tmp_path)
    before = files(tmp_path)
    message = check_one_line(
        *command("predict", "--model", model, "--input", path, "--output", block / "out.tif", "--device", "cpu")
    )
    assert "file" in message
    assert files(tmp_path) == before
