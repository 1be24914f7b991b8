"""Every command does its work and exits 0; every mistake of the user ends in one line that names what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import zarr
from scipy import ndimage
from small_data import make_store, sharp, tiny

from txm2sem_core import __version__, cli, io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.networks import build_generator
from txm2sem_core.training import train_model

Command = Callable[..., int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command in this process, as `main` does; returns its exit code."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["txm2sem", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patch store, a model fitted to it, and a TXM volume of two kinds."""
    root = tmp_path_factory.mktemp("cli")
    make_store(root / "patches")
    train_model(root / "patches", tiny("baseline", generator={"name": "identity"}), 0, root / "model", device="cpu")
    io.write_tiff(root / "txm.tif", sharp((3, 40, 44), 0), (40.0, 20.0, 10.0))
    for z, plane in enumerate(sharp((3, 40, 44), 0)):
        io.write_tiff(root / "slices" / f"{z}.tif", plane)
    return root


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["predict", "--help"], ["train", "--help"]])
def test_help_and_version_of_the_module(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "txm2sem_core", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (__version__ if arguments == ["--version"] else "Usage") in done.stdout


def test_help_names_every_command(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--help") == 0
    shown = capsys.readouterr().out
    for name in ("predict", "predict-test", "train", "register", "import-reference", "evaluate", "phantom"):
        assert f"  {name} " in shown


# --- the work


@pytest.mark.parametrize(("source", "output"), [("txm.tif", "v.ome.zarr"), ("slices", "v.tif")])
def test_predict(command: Command, place: Path, tmp_path: Path, source: str, output: str) -> None:
    arguments = ["predict", "--model", place / "model", "--input", place / source, "--device", "cpu"]
    for name, more in (("whole", []), ("tiled", ["--tile", 16])):
        target = tmp_path / name / output
        assert command(*arguments, "--output", target, *more, "--voxel-size-nm", 9, 8, 7) == 0
    whole, tiled = (io.open_volume(tmp_path / name / output) for name in ("whole", "tiled"))
    assert whole.voxel_size_nm == (9, 8, 7)
    np.testing.assert_array_equal(whole.read(0, 3), tiled.read(0, 3))
    correlation = np.corrcoef(whole.read(0, 3).ravel(), sharp((3, 40, 44), 0).ravel())[0, 1]
    assert abs(correlation) > 0.9  # an affine map of the intensities, clipped at the ends


def test_the_precision_stands_above_that_of_the_settings(command: Command, place: Path, tmp_path: Path) -> None:
    output = tmp_path / "v.ome.zarr"
    settings = '{"tile_px": 16, "compute": {"precision": "float32", "channels_last": true}}'
    assert command(*predict(place, output=output, settings=settings, precision="bfloat16")) == 0
    assert zarr.open_group(output, mode="r").attrs["txm2sem"]["precision"] == "bfloat16"  # type: ignore[call-overload,index]


def test_predict_keeps_the_voxel_size_of_the_file(command: Command, place: Path, tmp_path: Path) -> None:
    output = tmp_path / "v.tif"
    assert command("predict", "--model", place / "model", "--input", place / "txm.tif", "--output", output) == 0
    assert io.open_volume(output).voxel_size_nm == (40, 20, 10)


def test_train_and_predict_test(command: Command, place: Path, tmp_path: Path) -> None:
    settings = tiny("feedforward", schedule={"epochs": 1, "decay_epochs": 0}).canonical_json()
    train = ["train", "--patches", place / "patches", "--settings", settings, "--seed", 3, "--device", "cpu"]
    assert command(*train, "--output", tmp_path / "m", "--threads", 1) == 0
    assert load_model(tmp_path / "m").description["seed"] == 3
    predict = ["predict-test", "--model", tmp_path / "m", "--patches", place / "patches", "--device", "cpu"]
    assert command(*predict, "--output", tmp_path / "out") == 0
    assert io.open_volume(tmp_path / "out/patches.tif").shape == (3, 32, 32)
    assert len(io.list_images(tmp_path / "out/slices")) == 1


def test_evaluate(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = sharp((40, 44), 1, np.uint16)
    io.write_tiff(tmp_path / "t.tif", target)
    io.write_tiff(tmp_path / "p.tif", ndimage.gaussian_filter(target, 1))
    files = ["--prediction", tmp_path / "p.tif", "--target", tmp_path / "t.tif", "--output", tmp_path / "m.json"]
    assert command("evaluate", *files, "--data-range", 65535) == 0
    found = json.loads((tmp_path / "m.json").read_text())
    assert 10 < found["psnr"] < 60
    shown = dict(line.split()[:2] for line in capsys.readouterr().out.splitlines())
    assert shown["psnr"] == f"{found['psnr']:.6g}"


def test_register(command: Command, tmp_path: Path) -> None:
    """The moving image is the fixed one, shifted: the matrix takes its pixels back."""
    sem = sharp((200, 220), 2)
    fixed = ndimage.gaussian_filter(255 - sem, 1)
    io.write_tiff(tmp_path / "txm.tif", fixed[20:180, 20:200])
    io.write_tiff(tmp_path / "sem.tif", sem[23:183, 15:195])
    files = ["--fixed", tmp_path / "txm.tif", "--moving", tmp_path / "sem.tif", "--output", tmp_path / "out"]
    assert command("register", *files) == 0
    matrix = np.array(json.loads((tmp_path / "out/transform.json").read_text())["matrix"])
    assert matrix.shape == (3, 3)
    for x, y in ((20, 20), (150, 30), (90, 140)):  # sem pixel (x, y) is scene (x + 15, y + 23), txm (x - 5, y + 3)
        np.testing.assert_allclose(matrix @ [x, y, 1], [x - 5, y + 3, 1], atol=0.5)
    assert io.read_image(tmp_path / "out/registered.tif").shape == (160, 180)


def test_import_reference(command: Command, reference_fixtures: Path, tmp_path: Path) -> None:
    weights = sorted(reference_fixtures.glob("*_net_G.pth"))[0]
    assert command("import-reference", "--weights", weights, "--output", tmp_path / "m") == 0
    name = weights.name.removesuffix("_net_G.pth")
    with np.load(reference_fixtures / f"{name}.npz") as saved, torch.no_grad():
        found = load_model(tmp_path / "m").generator(torch.from_numpy(saved["x"])).numpy()
        np.testing.assert_allclose(found, saved["y"], atol=1e-5)


def test_phantom(command: Command, tmp_path: Path) -> None:
    assert command("phantom", "--output", tmp_path / "raw", "--shape", 16, 64, 64, "--seed", 2) == 0
    assert len(io.list_images(tmp_path / "raw/txm")) == len(io.list_images(tmp_path / "raw/sem")) > 0
    assert io.open_volume(tmp_path / "raw/txm_volume").shape == (16, 64, 64)


# --- mistakes


def predict(place: Path, **options: object) -> list[object]:
    values = {
        "model": place / "model",
        "input": place / "txm.tif",
        "output": place / "x.tif",
        "device": "cpu",
    } | options
    return ["predict", *(part for key, value in values.items() for part in (f"--{key}", value))]


MISTAKES: dict[str, tuple[Callable[[Path], list[object]], list[str]]] = {
    "no input": (lambda p: predict(p, input=p / "none.tif"), ["none.tif", "no such file"]),
    "no model": (lambda p: predict(p, model=p / "none"), ["none", "no such model directory"]),
    "no model in the folder": (lambda p: predict(p, model=p / "slices"), ["slices", "not a model directory"]),
    "suffix": (lambda p: predict(p, output=p / "x.png"), ["x.png", ".ome.zarr or .tif"]),
    "device": (lambda p: predict(p, device="gpu"), ["device", "'gpu'", "cpu"]),
    "settings": (lambda p: predict(p, settings='{"tile": 3}'), ["tile", "'tile_px'"]),
    "precision": (lambda p: predict(p, precision="half"), ["compute.precision", "'half'", "bfloat16"]),
    "precision of a GPU": (lambda p: predict(p, precision="float16"), ["compute.precision", "needs a GPU", "bfloat16"]),
    "settings that are no JSON": (lambda p: predict(p, settings="tile"), ["settings", "not JSON"]),
    "voxel size": (lambda p: [*predict(p), "--voxel-size-nm", 1, 2, 0], ["--voxel-size-nm", "greater than 0"]),
    "no patches": (
        lambda p: ["train", "--patches", p / "none", "--settings", '{"family": "feedforward"}', "--output", p / "x"],
        ["none", "no such file"],
    ),
    "family": (
        lambda p: ["train", "--patches", p / "patches", "--settings", '{"family": "unet"}', "--output", p / "x"],
        ["family", "'unet'", "pix2pix"],
    ),
    "generator": (
        lambda p: [
            *("train", "--patches", p / "patches", "--output", p / "x", "--device", "cpu"),
            *("--settings", '{"family": "feedforward", "generator": {"name": "resnet_nine"}}'),
        ],
        ["resnet_nine", "resnet_9blocks"],
    ),
    "shapes": (
        lambda p: ["evaluate", "--prediction", p / "txm.tif", "--target", p / "slices/0.tif", "--output", p / "x"],
        ["txm.tif", "(3, 40, 44)", "(1, 40, 44)"],
    ),
    "no weights": (
        lambda p: ["import-reference", "--weights", p / "txm.tif", "--output", p / "x"],
        ["txm.tif"],
    ),
    "register": (
        lambda p: ["register", "--fixed", p / "none.tif", "--moving", p / "slices/0.tif", "--output", p / "x"],
        ["none.tif", "no such file"],
    ),
    "phantom": (
        lambda p: ["phantom", "--output", p / "x", "--shape", 0, 64, 64],
        ["shape", "0"],
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_ends_in_one_line(
    command: Command, place: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, words = MISTAKES[kind]
    before = {path for path in place.rglob("*") if path.is_file()}
    assert command(*arguments(place)) == 1
    shown = capsys.readouterr()
    message = shown.err.strip().splitlines()[-1]
    assert message.startswith("txm2sem: error: ")
    assert shown.err.count("txm2sem: error") == 1
    assert "Traceback" not in shown.err
    for word in words:
        assert word in message
    assert {path for path in place.rglob("*") if path.is_file()} == before  # no half-written result


@pytest.mark.parametrize(
    "arguments", [["predict"], ["nonsense"], ["predict", "--tile", "many"], ["phantom", "--shape", "3"]]
)
def test_wrong_use_has_its_own_code(command: Command, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(*arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_fault_of_ours_keeps_its_traceback(command: Command, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("txm2sem_core.inference.predict_volume", broken)
    with pytest.raises(RuntimeError, match="ours"):
        command(*predict(place))


def test_an_interruption(
    command: Command, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("txm2sem_core.inference.predict_volume", stopped)
    assert command(*predict(place)) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_truncated_volume_leaves_no_prediction(
    command: Command, place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (place / "txm.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: len(data) // 2])
    assert command(*predict(place, input=tmp_path / "cut.tif", output=tmp_path / "out/v.ome.zarr")) == 1
    assert "cut.tif" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_whose_weights_are_another_s(command: Command, place: Path, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes((place / "model/model.json").read_bytes())
    other = build_generator("linearfilt", seed=0)
    torch.save(other.state_dict(), tmp_path / "generator.safetensors")
    assert command(*predict(place, model=tmp_path)) == 1
