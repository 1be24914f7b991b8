"""A full disk is reported in one message and leaves nothing; after space is made the same call goes through."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_stages import cut, is_alive, make_start, predict_arguments, register, train_arguments
from small_volumes import digests
from undisturbed import ALL, Mount, Undisturbed, fingerprint, make_workflow, start

from txm2sem_core import checkpoint, cli, io
from txm2sem_core.checkpoint import load_model, save_training_state
from txm2sem_core.errors import InputError

LARGE = np.random.default_rng(0).integers(0, 256, (1200, 1000)).astype(np.uint8)
WRITERS = {
    "image.tif": lambda path: io.write_tiff(path, LARGE),
    "table.csv": lambda path: io.write_csv(path, pd.DataFrame(LARGE[:, :400])),
    "text.html": lambda path: io.write_text(path, "x" * 1_200_000),
    "state.pt": lambda path: save_training_state(path, {"weights": _tensor()}),
}
Stage = Callable[[Path, Path], None]  # from the start's folder into an output


def _tensor() -> object:
    import torch

    return torch.from_numpy(LARGE)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_reported_and_leaves_nothing(mount: Mount, tmp_path: Path, name: str) -> None:
    disk = tmp_path / "disk"
    mount(disk, "1m")
    with pytest.raises(InputError, match=r"no space left .* MiB are free\). Make space there") as message:
        WRITERS[name](disk / name)
    assert str(message.value).startswith(f"{disk / name}: ")
    assert list(disk.iterdir()) == []
    mount(disk, "8m")
    WRITERS[name](disk / name)
    WRITERS[name](tmp_path / name)
    assert (disk / name).read_bytes() == (tmp_path / name).read_bytes()


@pytest.fixture(scope="module")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the stages start from."""
    return make_start(tmp_path_factory.mktemp("begin"))


@pytest.fixture(scope="module")
def alone(begin: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """What a stage leaves that nothing disturbs, made once."""
    folder = tmp_path_factory.mktemp("alone")

    def made(name: str) -> Path:
        if not (folder / name).exists():
            STAGES[name][0](begin, folder / name)
        return folder / name

    return made


def run(arguments: list[object]) -> None:
    """The command, in this process; a user's mistake is exit code 1 and a message on stderr."""
    before = sys.argv
    sys.argv = ["txm2sem", *map(str, arguments)]
    try:
        cli.main()
    except SystemExit as end:
        if end.code == 1:
            raise InputError("reported") from end
    finally:
        sys.argv = before


STAGES: dict[str, tuple[Stage, str]] = {  # and the file that is written last: without it nothing is finished
    "registered": (lambda begin, output: register(begin / "raw", output), "index.csv"),
    "patches": (lambda begin, output: cut(begin / "registered", output), "store.json"),
    "model": (lambda begin, output: run(train_arguments(begin, output)), "model.json"),
    "volume": (lambda begin, output: run(predict_arguments(begin, output / "v.ome.zarr")), "v.ome.zarr/zarr.json"),
    "tiff": (lambda begin, output: run(predict_arguments(begin, output / "v.tif")), "v.tif"),
}
# KiB of the disk, from where nothing fits to where all but the last file does; the first of each is always tried
KIB = {"registered": (60, 4), "patches": (4, 80), "model": (240, 8), "volume": (40, 4, 12, 80), "tiff": (40, 4, 150)}
CASES = [(name, kib) for name, sizes in KIB.items() for kib in sizes[: None if ALL else 1]]


def is_visible(file: str) -> bool:
    """Whether a user or the workflow would look at it: units, states and locks are hidden."""
    return not any(part.startswith(".") for part in Path(file).parts)


def visible(folder: Path) -> dict[str, str]:
    """Digests of what is visible."""
    return {file: digest for file, digest in digests(folder).items() if is_visible(file)}


@pytest.mark.parametrize(("name", "kib"), CASES)
def test_a_stage_on_a_full_disk(
    mount: Mount,
    begin: Path,
    alone: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    kib: int,
) -> None:
    stage, last = STAGES[name]
    expected = visible(alone(name))
    assert last in expected
    disk = tmp_path / "disk"
    mount(disk, f"{kib}k")
    capsys.readouterr()
    with pytest.raises(InputError) as raised:
        stage(begin, disk / "out")
    message = f"{raised.value}\n{capsys.readouterr().err}"
    assert "No space left on device" in message
    assert "MiB are free" in message
    assert "Make space there" in message
    assert str(disk / "out") in message
    assert ".part." not in message
    assert "Traceback" not in message
    left = visible(disk)
    assert last not in {Path(file).relative_to("out").as_posix() for file in left}
    assert {file: digest for file, digest in left.items() if expected[file.removeprefix("out/")] != digest} == {}
    mount(disk, "16m")
    stage(begin, disk / "out")
    assert visible(disk / "out") == expected
    assert name != "volume" or is_alive(disk / "out/v.ome.zarr")


@pytest.mark.parametrize("kib", [20, 0] if ALL else [20])
def test_the_last_weights_on_a_full_disk(
    mount: Mount,
    begin: Path,
    alone: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kib: int,
) -> None:
    """Training states are larger than weights: a small disk alone would not come so far, so a neighbour fills it."""
    train, _ = STAGES["model"]
    disk = tmp_path / "disk"
    mount(disk, "8m")
    save = checkpoint.save_model

    def save_on_a_full_disk(*arguments: object, **options: bool) -> None:
        (disk / "neighbour").write_bytes(bytes(shutil.disk_usage(disk).free - 1024 * kib))
        save(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoint, "save_model", save_on_a_full_disk)
    with pytest.raises(InputError):
        train(begin, disk / "model")
    assert not (disk / "model/generator.safetensors").exists()
    with pytest.raises(InputError, match=r"holds no model\.json"):
        load_model(disk / "model")
    monkeypatch.undo()
    (disk / "neighbour").unlink()
    train(begin, disk / "model")
    assert digests(disk / "model") == digests(alone("model"))


@pytest.mark.skipif(not ALL, reason="minutes: set TXM2SEM_FAULTS=all, or run `make test-faults`")
@pytest.mark.slow  # the whole pipeline, twice
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_the_pipeline_on_a_full_disk(undisturbed: Undisturbed, mount: Mount, tmp_path: Path, share: float) -> None:
    folder = make_workflow(tmp_path / "w")
    results = folder / "results"
    mount(results, str(int(share * undisturbed.size)))
    assert start(folder).wait() == 1
    output = (folder / "output.txt").read_text()
    print(f"\nfull after {share:.0%} of {undisturbed.size / 2**20:.1f} MiB: {len(fingerprint(results))} files")
    assert "No space left on device" in output
    assert "Traceback" not in output
    left = {file: digest for file, digest in fingerprint(results).items() if is_visible(file)}
    assert left
    assert {file for file, digest in left.items() if undisturbed.expected.get(file) != digest} == set()
    mount(results, "1g")
    (folder / "output.txt").rename(folder / "before.txt")
    assert start(folder).wait() == 0, (folder / "output.txt").read_text()
    found = fingerprint(results)
    assert found.keys() == undisturbed.expected.keys()
    assert [file for file in found if found[file] != undisturbed.expected[file]] == []
    assert os.path.ismount(results)
