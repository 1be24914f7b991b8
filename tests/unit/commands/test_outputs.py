"""Nothing of the user's is replaced: whatever stands at an output, and however an output is an input."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sequential_networks import SequentialFilter, randomise
from small_data import blurred, make_store, sharp, tiny
from small_volumes import make_model, make_source

from txm2sem_core import cli, io
from txm2sem_core.config.figures import CommonStyle
from txm2sem_core.errors import InputError
from txm2sem_core.inference import predict_volume
from txm2sem_core.io import atomic, ownership
from txm2sem_core.plotting.canvas import new_figure, save_figure
from txm2sem_core.training import train_model

torch.set_num_threads(1)
Command = Callable[..., tuple[int, str]]
FIT = tiny("baseline", generator={"name": "identity"}).canonical_json()
NET = tiny("feedforward", schedule={"epochs": 1, "decay_epochs": 0}).canonical_json()
CPU = ["--device", "cpu", "--threads", "1"]
UNMOVED = ["--settings", '{"transform": "none"}']
BATCH = "--inference-mode batch_statistics"


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process; returns its exit code and what it said on stderr."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["txm2sem", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, capsys.readouterr().err

    return run


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of everything that a command reads."""
    root = tmp_path_factory.mktemp("inputs")
    make_store(root / "patches", train=8, evaluation=2)
    settings = tiny("baseline", generator={"name": "identity"})
    train_model(root / "patches", settings, 0, root / "model", device="cpu")
    train_model(root / "patches", tiny("repair", damage=(0.005, 0.5)), 0, root / "repairer", device="cpu")
    make_source(root / "txm.tif", (3, 40, 44))
    sem = sharp((96, 96), 0)
    io.write_tiff(root / "sem.tif", sem)
    io.write_tiff(root / "slice.tif", blurred(sem))
    io.write_tiff(root / "mask.tif", np.eye(96, dtype=np.uint8))
    torch.save(randomise(SequentialFilter(1.7), seed=0).state_dict(), root / "latest_net_G.pth")
    return root


OTHER_SIZE = "--voxel-size-nm 1 1 1"
# Each command: its words; what --output names; the words that ask for another result
COMMANDS = {
    name: ([*words.split(), *more], output, other.split())
    for name, words, more, output, other in (
        ("phantom", "phantom --shape 8 24 24", [], "out", "--seed 4"),
        ("predict to zarr", "predict --model model --input txm.tif", CPU, "v.ome.zarr", OTHER_SIZE),
        ("predict to tiff", "predict --model model --input txm.tif", CPU, "v.tif", OTHER_SIZE),
        ("predict-test", "predict-test --model model --patches patches", CPU, "out", ""),
        ("repair", "repair --model repairer --txm slice.tif --sem sem.tif --mask mask.tif", CPU, "r.tif", ""),
        ("train", "train --patches patches", ["--settings", NET, *CPU], "out", "--seed 3"),
        ("fit", "train --patches patches", ["--settings", FIT, *CPU], "out", ""),
        ("register", "register --fixed slice.tif --moving sem.tif --mask mask.tif", UNMOVED, "out", ""),
        ("import-reference", "import-reference --weights latest_net_G.pth", [], "out", BATCH),
        ("evaluate", "evaluate --prediction sem.tif --target slice.tif", [], "m.json", "--data-range 300"),
    )
}
# a file that the command writes into the folder --output
INSIDE = {
    "predict-test": "patches.tif",
    "train": "best.safetensors",
    "fit": "model.json",
    "register": "transform.json",
    "import-reference": "model.json",
}
FILES = ("--txm", "--sem", "--mask", "--fixed", "--moving", "--weights", "--prediction", "--target")
READ = ("--model", "--input", "--patches", *FILES)


def arguments(name: str, inputs: Path) -> list[object]:
    """Of a command, with its inputs where they are."""
    words: list[str] = COMMANDS[name][0]
    return [inputs / word if before in READ else word for before, word in zip(["", *words], words, strict=False)]


def tree(folder: Path) -> dict[str, str]:
    """All that lies in a folder: links by what they name, files by their bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {os.readlink(path)}"
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        else:
            found[name] = stat.filemode(path.lstat().st_mode)
    return found


def users_folder(path: Path) -> None:
    (path / "slices").mkdir(parents=True)
    (path / "thesis.txt").write_text("years")


def users_image(path: Path) -> None:
    import tifffile

    tifffile.imwrite(path, np.zeros((4, 4), np.uint8))


def link_to_folder(path: Path) -> None:
    users_folder(path.parent / "mine")
    path.symlink_to("mine")


def link_to_file(path: Path) -> None:
    io.write_tiff(path.parent / "mine.tif", np.zeros((4, 4), np.uint8))  # even to one of ours
    path.symlink_to("mine.tif")


def folder_of_links(path: Path) -> None:
    path.mkdir()
    (path / "zarr.json").symlink_to("nowhere")


STANDING: dict[str, Callable[[Path], object]] = {
    "a folder of the user's": users_folder,
    "an image of the user's": users_image,
    "a text": lambda path: path.write_text('{"software": "ImageJ"}'),
    "a link to a folder": link_to_folder,
    "a link to a file": link_to_file,
    "a link that leads nowhere": lambda path: path.symlink_to("nowhere"),
    "a pipe": os.mkfifo,
    "a folder of links": folder_of_links,
}


@pytest.mark.parametrize("overwrite", [(), ("--overwrite",)], ids=["plain", "overwrite"])
@pytest.mark.parametrize("standing", STANDING)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_not_ours_stays(
    command: Command, inputs: Path, tmp_path: Path, name: str, standing: str, overwrite: tuple[str, ...]
) -> None:
    """Whatever it is called: at the place of the output, or of a file that is written into it."""
    output = tmp_path / "place" / COMMANDS[name][1]
    target = output / INSIDE[name] if name in INSIDE else output
    target.parent.mkdir(parents=True)
    STANDING[standing](target)
    before, given_before = tree(tmp_path), tree(inputs)
    code, message = command(*arguments(name, inputs), "--output", output, *overwrite)
    assert (code, message.count("txm2sem: error"), "Traceback" in message) == (1, 1, False)
    assert target.name in message.strip().splitlines()[-1]
    assert tree(tmp_path) == before
    assert tree(inputs) == given_before


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_again_is_done_and_another_wants_overwrite(
    command: Command, inputs: Path, tmp_path: Path, name: str
) -> None:
    output, other = tmp_path / COMMANDS[name][1], COMMANDS[name][2]
    words = [*arguments(name, inputs), "--output", output]
    assert command(*words)[0] == 0
    before = tree(tmp_path)
    code, message = command(*words)
    assert (code, tree(tmp_path)) == (0, before)
    assert "already" in message
    if not other:
        return
    code, message = command(*words, *other)
    assert (code, tree(tmp_path)) == (1, before)
    assert "Give --overwrite" in message.splitlines()[-1]
    assert command(*words, *other, "--overwrite")[0] == 0
    assert tree(tmp_path).keys() == before.keys()
    assert tree(tmp_path) != before
    fresh = tmp_path / "fresh" / output.name
    assert command(*arguments(name, inputs), "--output", fresh, *other)[0] == 0
    same = fresh.read_bytes() == output.read_bytes() if fresh.is_file() else tree(fresh) == tree(output)
    assert same


@pytest.mark.parametrize("inside", ["thesis.txt", "txm/thesis.txt", "truth/deep/thesis.txt", "sem/SEM000.tif"])
@pytest.mark.parametrize("kind", ["phantom", "predict to zarr"])
def test_what_came_into_our_folder_since_is_named_and_stays(
    command: Command, inputs: Path, tmp_path: Path, kind: str, inside: str
) -> None:
    output = tmp_path / COMMANDS[kind][1]
    words = [*arguments(kind, inputs), "--output", output]
    assert command(*words)[0] == 0
    mine = output / inside
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("years")
    before = tree(tmp_path)
    code, message = command(*words, *COMMANDS[kind][2], "--overwrite")
    assert (code, tree(tmp_path)) == (1, before)
    assert f"{inside}, which lies in it," in message


def test_the_same_phantom_again_may_stand_among_other_results(command: Command, tmp_path: Path) -> None:
    words = ["phantom", "--shape", 8, 24, 24, "--output", tmp_path / "rock"]
    assert command(*words)[0] == 0
    users_folder(tmp_path / "rock/registered")
    before = tree(tmp_path)
    assert (command(*words)[0], tree(tmp_path)) == (0, before)


def test_an_empty_folder_or_file_is_no_obstacle(command: Command, inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "v.ome.zarr").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "v.tif").touch()
    for name in ("phantom", "predict to zarr", "predict to tiff"):
        assert command(*arguments(name, inputs), "--output", tmp_path / COMMANDS[name][1])[0] == 0


# --- inputs


def spellings(path: Path, aside: Path) -> list[Path]:
    """Other ways to name a file or folder."""
    aside.mkdir()
    (aside / "folder").symlink_to(path.parent)
    found = [path, path.parent / "none" / ".." / path.name, aside / "folder" / path.name]
    if path.is_file():
        os.link(path, aside / f"hard{path.suffix}")
        found.append(aside / f"hard{path.suffix}")
    return found


OF_INPUTS = [(name, option) for name, (words, _, _) in COMMANDS.items() for option in words if option in READ]


@pytest.mark.parametrize(("name", "option"), OF_INPUTS)
def test_an_output_that_is_an_input_is_refused(
    command: Command, inputs: Path, tmp_path: Path, name: str, option: str
) -> None:
    """By every spelling; files that are written into --output are meant, too, where the input has the name of one."""
    words = COMMANDS[name][0]
    copy = shutil.copytree(inputs, tmp_path / "copy")
    given = copy / words[words.index(option) + 1]
    suffix = Path(COMMANDS[name][1]).suffix
    if name in INSIDE and given.is_file():
        (tmp_path / "place").mkdir()
        given = given.rename(tmp_path / "place" / INSIDE[name])
    elif suffix and not (given.is_dir() and suffix == ".zarr"):
        given = given.rename(given.with_name(f"given{suffix}"))
    elif suffix:
        given = given.rename(given.with_name(f"given.ome{suffix}"))
    changed = [given if before == option else word for before, word in zip(["", *words], words, strict=False)]
    full = [copy / str(word) if before in READ else word for before, word in zip(["", *changed], changed, strict=False)]
    for output in spellings(given, tmp_path / "aside"):
        in_folder = name in INSIDE and given.is_file()
        if in_folder and output.name != given.name:
            continue  # a hard link of another name, beside which may be written
        written = output.parent if in_folder else output
        before = tree(tmp_path)
        code, message = command(*full, "--output", written, "--overwrite")
        assert (code, tree(tmp_path)) == (1, before), message
        assert "Traceback" not in message
        assert "input" in message.splitlines()[-1], message


@pytest.mark.parametrize(
    "place", ["{model}/v.tif", "{model}/deep/v.ome.zarr", "{slices}/v.tif", "{slices}/../slices/v.ome.zarr"]
)
def test_an_output_within_an_input_is_refused(command: Command, inputs: Path, tmp_path: Path, place: str) -> None:
    slices = tmp_path / "slices"
    for z, plane in enumerate(sharp((3, 40, 44), 0)):
        io.write_tiff(slices / f"{z}.tif", plane)
    output = place.format(model=inputs / "model", slices=slices)
    before = tree(tmp_path), tree(inputs)
    code, message = command("predict", "--model", inputs / "model", "--input", slices, "--output", output, *CPU)
    assert (code, tree(tmp_path), tree(inputs)) == (1, *before)
    assert "lies within the input" in message


def test_an_output_that_holds_an_input_is_refused_and_its_neighbour_is_not(tmp_path: Path) -> None:
    io.write_tiff(tmp_path / "rock/txm.tif", np.zeros((4, 4), np.uint8))
    with pytest.raises(InputError, match="holds the input"):
        io.check_output([tmp_path / "rock/txm.tif"], folders=[tmp_path / "rock"])
    (tmp_path / "link").symlink_to("rock")
    with pytest.raises(InputError, match="holds the input"):
        io.check_output([tmp_path / "link/txm.tif"], folders=[tmp_path / "rock"])
    io.check_output([tmp_path / "rock/txm.tif"], files=[tmp_path / "rock/sem.tif"])
    io.check_output([tmp_path / "rock/txm.tif", None, tmp_path / "gone.tif"], folders=[tmp_path / "rock/sem.ome.zarr"])


def test_what_a_link_in_an_input_folder_leads_to_is_an_input(tmp_path: Path) -> None:
    io.write_tiff(tmp_path / "ours.tif", np.zeros((4, 4), np.uint8))
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices/0.tif").symlink_to("../ours.tif")
    with pytest.raises(InputError, match="holds the input"):
        io.check_output([tmp_path / "slices"], files=[tmp_path / "ours.tif"])


def test_a_dataset_of_an_hdf5_file_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "scan.h5").write_bytes(b"")
    with pytest.raises(InputError, match="is the input"):
        io.check_output([tmp_path / "scan.h5:/exchange/data"], files=[tmp_path / "scan.h5"])


@pytest.mark.parametrize("results", ["rock/txm", "rock/txm/out", "{tmp}/rock/../rock/txm", "."])
def test_a_results_folder_among_the_raw_data_is_refused_before_a_job(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, results: str
) -> None:
    """The last holds them, since the sample has the name of their folder."""
    monkeypatch.chdir(tmp_path)
    assert command("phantom", "--output", "rock", "--shape", 24, 64, 64)[0] == 0
    (tmp_path / "samples.tsv").write_text("sample\tsource\ttxm\tsem\nrock\tpairs\trock/txm\trock/sem\n")
    (tmp_path / "figures.yaml").write_text("{}\n")
    config = {"samples": "samples.tsv", "figures": "figures.yaml", "patches": {"size_px": 16}}
    config["variants"] = {"pointwise": {"family": "baseline", "generator": {"name": "pointwise"}}}
    (tmp_path / "c.yaml").write_text(json.dumps(config))
    assert command("check", "--config", "c.yaml")[0] == 0
    (tmp_path / "c.yaml").write_text(json.dumps({**config, "results_dir": results.format(tmp=tmp_path)}))
    code, message = command("check", "--config", "c.yaml")
    assert code == 1
    assert "the input rock/" in message


# --- names


@pytest.mark.parametrize("output", ["", " ", ".", "..", "/", "./", "a\nb", "a\x1b[2Jb", "\udcff", "n" * 230])
@pytest.mark.parametrize("name", ["phantom", "train", "register"])
def test_odd_names_end_in_one_line(
    command: Command, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, output: str
) -> None:
    """Those that write named files into a folder may write them into the present one."""
    (tmp_path / "in").mkdir()
    for place in (tmp_path, tmp_path / "in"):
        (place / "notes.txt").write_text("hi")
    monkeypatch.chdir(tmp_path / "in")
    before = tree(tmp_path)
    code, message = command(*arguments(name, inputs), "--output", output)
    if name != "phantom" and output in (".", "..", "./", "n" * 230):
        assert code == 0
        assert tree(tmp_path).items() >= before.items()
        return
    assert (code, tree(tmp_path)) == (1, before)
    (line,) = message.strip().splitlines()
    assert line.isprintable()


def test_an_empty_folder_that_one_is_in_is_not_replaced(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, message = command("phantom", "--output", ".", "--shape", 8, 24, 24)
    assert code == 1
    assert "you are in this folder" in message


def test_names_of_inputs_are_shown_in_one_line(command: Command, inputs: Path, tmp_path: Path) -> None:
    code, message = command(
        "predict", "--model", inputs / "model", "--input", "a\nb\x1b", "--output", tmp_path / "v.tif"
    )
    assert code == 1
    assert r"a\nb\x1b" in message
    assert message.count("\n") == 1


# --- races, and what was killed


def test_what_comes_while_a_result_is_made_stays(tmp_path: Path) -> None:
    def write(target: Path, comes: Callable[[Path], object]) -> None:
        with io.atomic_path(target) as temporary:
            if target.suffix:
                temporary.write_text("{}")
            else:
                temporary.mkdir()
            comes(target)

    with pytest.raises(InputError, match="was not made by TXM2SEM"):
        write(tmp_path / "a.json", lambda path: path.write_text("mine"))
    with pytest.raises(InputError, match=r"thesis\.txt"):
        write(tmp_path / "folder", users_folder)
    assert {path.name for path in tmp_path.rglob("*")} == {"a.json", "folder", "slices", "thesis.txt"}


def test_what_comes_in_the_very_moment_of_replacing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the exchange."""
    target = tmp_path / "folder"

    def write(text: str) -> None:
        with io.atomic_path(target) as temporary:
            temporary.mkdir()
            (temporary / "a.txt").write_text(text)

    write("one")
    look = atomic.check_standing

    def look_and_be_late(path: Path, *, folder: bool, overwrite: bool) -> None:
        look(path, folder=folder, overwrite=overwrite)
        (target / "thesis.txt").write_text("years")

    for exchanges in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "check_standing", look_and_be_late)
            if not exchanges:
                patch.setattr(atomic, "exchange", lambda *_: False)
            with pytest.raises(InputError, match="came or changed"):
                write("two")
        assert (target / "thesis.txt").read_text() == "years"
        assert (target / "a.txt").read_text() == "one"
        assert [path.name for path in tmp_path.iterdir()] == ["folder"]
        (target / "thesis.txt").unlink()


def test_what_was_killed_between_two_renamings_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic, "_is_alive", lambda _: False)
    left = atomic._beside(tmp_path / "v.ome.zarr", "old")
    users_folder(left)
    io.write_text(tmp_path / "new.txt", "")
    assert (tmp_path / "v.ome.zarr/thesis.txt").exists()


def test_a_lock_that_is_a_file_of_the_user_s(tmp_path: Path) -> None:
    (tmp_path / ".m.lock").write_text("years")
    with pytest.raises(InputError, match=r"\.m\.lock"), io.exclusive(tmp_path / "m", "train"):
        pass
    assert (tmp_path / ".m.lock").read_text() == "years"


# --- marks

NAMES = st.sampled_from(["a.tif", "b.csv", "c.json", "deep/a.tif", "deep/er/d.txt", "phantom.json", ownership.MANIFEST])


@given(ours=st.sets(NAMES, min_size=1), theirs=st.dictionaries(NAMES, st.binary(max_size=9)), late=st.booleans())
def test_a_folder_is_ours_if_and_only_if_nothing_else_is_in_it(
    tmp_path_factory: pytest.TempPathFactory, ours: set[str], theirs: dict[str, bytes], late: bool
) -> None:
    """Against the plain statement: files that were written with the folder, with the bytes that they had."""
    target = tmp_path_factory.mktemp("marks") / "folder"
    with io.atomic_path(target) as temporary:
        for name in ours - {ownership.MANIFEST}:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            (temporary / name).write_text(f"of ours: {name}")
        temporary.mkdir(exist_ok=True)
    assert ownership.first_foreign(target) is None
    for name, data in theirs.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(data)
    assert (ownership.first_foreign(target) is None) == (not theirs)
    before = tree(target)
    with pytest.raises(InputError) if theirs else Nothing(), io.atomic_path(target) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert (tree(target) == before) == bool(theirs)


class Nothing:
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


def test_what_each_command_leaves_is_known_by_its_bytes_alone(command: Command, inputs: Path, tmp_path: Path) -> None:
    """Under another name, in another folder; a change takes the mark's word away where files are listed."""
    for name in ("predict to tiff", "repair", "evaluate"):
        output = tmp_path / COMMANDS[name][1]
        assert command(*arguments(name, inputs), "--output", output)[0] == 0
        renamed = output.rename(tmp_path / f"else-{output.name}")
        assert ownership.first_foreign(renamed) is None
    for name in ("phantom", "predict to zarr"):
        output = tmp_path / COMMANDS[name][1]
        assert command(*arguments(name, inputs), "--output", output)[0] == 0
        assert ownership.first_foreign(output.rename(tmp_path / f"else-{name}")) is None
    model = tmp_path / "model"
    assert command(*arguments("fit", inputs), "--output", model)[0] == 0
    assert [file for file in model.iterdir() if ownership.first_foreign(file) is not None] == []
    (model / "history.csv").write_text("mine")
    assert ownership.first_foreign(model / "history.csv") is not None


# --- finished volumes


@pytest.mark.parametrize("name", ["v.ome.zarr", "v.tif"])
def test_a_finished_volume_is_known_by_what_it_was_made_of(
    command: Command, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, source = make_model(tmp_path / "model", in_channels=3), make_source(tmp_path / "txm.tif")
    words = ["predict", "--model", model, "--input", source, "--output", tmp_path / name, *CPU]
    assert command(*words)[0] == 0
    before = tree(tmp_path)
    shutil.copyfile(source, tmp_path / "copy.tif")
    os.utime(source, (5, 5))
    for again in (words, [*words, "--finish"], [*words, "--slab", "1/2"], [*words, "--input", tmp_path / "copy.tif"]):
        code, message = command(*again)
        assert (code, "is there already, of the same model and input" in message) == (0, True), message
    data = bytearray(source.read_bytes())
    data[-7] ^= 1
    source.write_bytes(data)
    assert command(*words)[0] == 1  # another input
    source.write_bytes((tmp_path / "copy.tif").read_bytes())
    (tmp_path / "copy.tif").unlink()
    make_model(tmp_path / "other", in_channels=3, width=5)
    assert command(*words, "--model", tmp_path / "other")[0] == 1
    shutil.rmtree(tmp_path / "other")
    assert tree(tmp_path) == before
    code, message = command(*words, "--slab", "1/2", "--slab-report", tmp_path / "r.json")
    assert (code, "has no slabs any more" in message) == (1, True)


def test_an_uncertainty_of_the_user_s_is_not_replaced_either(command: Command, inputs: Path, tmp_path: Path) -> None:
    models = ["--model", inputs / "model", "--model", make_model(tmp_path / "other")]
    users_image(tmp_path / "v_uncertainty.tif")
    before = tree(tmp_path)
    code, message = command("predict", *models, "--input", inputs / "txm.tif", "--output", tmp_path / "v.tif", *CPU)
    assert (code, "v_uncertainty.tif" in message, tree(tmp_path)) == (1, True, before)


def test_what_snakemake_leaves_in_our_folders_is_no_obstacle(tmp_path: Path) -> None:
    model, source = make_model(tmp_path / "model"), make_source(tmp_path / "txm.tif", (3, 40, 44))
    predict_volume(model, source, tmp_path / "v.ome.zarr", device="cpu")
    (tmp_path / "v.ome.zarr/.snakemake_timestamp").touch()
    predict_volume(model, source, tmp_path / "v.ome.zarr", device="cpu", tile=16)
    (tmp_path / "v.ome.zarr/.snakemake_timestamp").write_text("mine")
    with pytest.raises(InputError, match="snakemake_timestamp"):
        predict_volume(model, source, tmp_path / "v.ome.zarr", device="cpu")


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_a_figure_of_ours_is_replaced_and_another_s_is_not(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"figure{suffix}"
    for width in (40, 50):
        save_figure(new_figure(width, 30), path, CommonStyle())
    assert ownership.first_foreign(path) is None
    new_figure(40, 30).savefig(path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="figure"):
        save_figure(new_figure(60, 30), path, CommonStyle())
    assert path.read_bytes() == before


def test_marks_are_where_readers_look(tmp_path: Path) -> None:
    io.write_tiff(tmp_path / "a.tif", np.zeros((4, 4), np.uint8))
    assert io.read_marks(tmp_path / "a.tif") == {}
    io.write_volume_tiffs([tmp_path / "b.tif"], iter(np.zeros((2, 1, 4, 4), np.uint8)), None, marks={"of": "this"})
    assert io.read_marks(tmp_path / "b.tif") == {"of": "this"}
    assert ownership.first_foreign(tmp_path / "b.tif") is None
    assert io.read_marks(tmp_path / "none") == {}
    assert json.dumps(io.MARK) == '{"software": "TXM2SEM"}'
