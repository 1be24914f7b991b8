"""Reads damaged files of one format in a process of its own, whose memory is bound.

`fuzzing.py FORMAT FIRST LAST FOLDER` tries the inputs of these numbers; a number is the seed of its damage.

One line of JSON an input that is worth a word, and every hundred; what it says last is what it was at when it died.
"""

from __future__ import annotations

import hashlib
import json
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

for place in ("faults", "corpus", "helpers"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / place))

import numpy as np  # noqa: E402
from mutations import damaged_file  # noqa: E402
from tiff_files import STACKS  # noqa: E402
from volume_files import VOLUMES  # noqa: E402

from txm2sem_core import io  # noqa: E402
from txm2sem_core.errors import Txm2semError  # noqa: E402
from txm2sem_core.io import guards  # noqa: E402

MEMORY = 512 * 2**20  # free, as the readers are told: half of it is their bound
MOST_GROWTH = 1024 * 2**20  # of the process, over all inputs
SECONDS = 10
Files = dict[str, bytes]
Reader = Callable[[Path, Path], object]


class HangError(BaseException):
    """An input took longer than allowed."""


def volume_seeds(folder: Path, suffixes: tuple[str, ...]) -> list[tuple[str, Files]]:
    """What the corpus can be read of, as the names and bytes of its files; the first is what is opened."""
    found = []
    for number, case in enumerate((STACKS | VOLUMES).values()):
        if case.array is None:
            continue
        place = folder / f"seed{number}"
        place.mkdir()
        path = case.make(place)
        name = str(path.relative_to(place))
        kind = path.suffix.split(":")[0] if path.exists() or path.suffix.startswith((".h5", ".hdf", ".nxs")) else ""
        if (kind if path.is_file() or ":" in name else "folder" + kind) in suffixes:
            files = sorted(file for file in place.rglob("*") if file.is_file() and not file.is_symlink())
            found.append((name, {str(file.relative_to(place)): file.read_bytes() for file in files}))
    return found


def read_volume(path: Path, _: Path) -> None:
    with io.open_volume(path) as volume:
        depth = volume.shape[0]
        for z in sorted({0, 1, depth // 2, depth - 1} & set(range(depth))):
            volume.read(z, z + 1)
    if path.suffix in (".tif", ".tiff", ".png") and path.is_file():
        with suppress(Txm2semError):  # of a stack
            io.read_image(path)


def store_seeds(folder: Path) -> list[tuple[str, Files]]:
    import pandas as pd

    from txm2sem_core.intensity import IntensityRange, Preparation
    from txm2sem_core.io import PairImages, PatchStore, write_patch_store

    image = np.random.default_rng(0).integers(0, 255, (48, 48), np.uint8)
    rows = [
        {"patch": i, "pair": "000", "split": s, "y": 0, "x": 8 * i, "z": i} for i, s in enumerate(("train", "test"))
    ]
    limits = IntensityRange(0, 255)
    pairs = {"000": PairImages(image[None], image, np.ones_like(image))}
    index = pd.DataFrame(rows)
    write_patch_store(folder / "s", PatchStore(pairs, index, 32, 1, 0, limits, limits, (8.0,) * 3, Preparation(), ""))
    return [("s", {f"s/{file.name}": file.read_bytes() for file in (folder / "s").iterdir()})]


def read_store(path: Path, _: Path) -> None:
    store = io.read_patch_store(path)
    for row in store.of_split("train").to_dict("records")[:3]:
        assert store.sem_patch(row["pair"], row["y"], row["x"]).shape == (store.size_px,) * 2
        assert store.txm_patch(row["pair"], row["y"], row["x"], 0).shape[1:] == (store.size_px // store.factor,) * 2


def model_seeds(folder: Path) -> list[tuple[str, Files]]:
    from saved_models import saved

    saved(folder / "m")
    return [("m", {f"m/{file.name}": file.read_bytes() for file in (folder / "m").iterdir()})]


def read_model(path: Path, _: Path) -> None:
    from txm2sem_core.checkpoint import load_model

    load_model(path)


def text_seeds(_: Path) -> list[tuple[str, Files]]:
    root = Path(__file__).resolve().parents[2]
    table = b"pair,z,split,y,x,txm,accepted\n000,1,train,0,8,pairs/000_txm.tif,True\n001,4,test,0,0,b.tif,False\n"
    described = {"voxel_size_nm": [8, 8, None], "size_px": 32, "warnings": ["a"], "000": {"matrix": [[1, 0, 0]] * 3}}
    samples = b"sample\tsource\ttxm\tsem\tpair_z\tvoxel_size_nm\nshale\tpairs\ta\tb\t0:9:3\t32,32,32\ntiny\tphantom\n"
    return [
        ("t.csv", {"t.csv": table}),
        ("t.json", {"t.json": json.dumps(described).encode()}),
        ("t.yaml", {"t.yaml": (root / "config" / "demo.yaml").read_bytes()}),
        ("t.tsv", {"t.tsv": samples}),
    ]


def read_text(path: Path, _: Path) -> None:
    if path.suffix == ".tsv":
        from txm2sem_core.samples.table import read_samples

        read_samples(path)
    elif path.suffix == ".yaml":
        from txm2sem_core.config import load_config

        values = io.read_yaml(path)
        load_config(values if isinstance(values, dict) else {}, str(path))
    else:
        {".csv": io.read_csv, ".json": io.read_json}[path.suffix](path)


def figure_seeds(folder: Path) -> list[tuple[str, Files]]:
    from PIL import Image

    for mode in ("L", "RGB", "RGBA", "P", "1"):
        Image.fromarray(np.arange(600, dtype=np.uint8).reshape(20, 30)).convert(mode).save(folder / f"{mode}.png")
    return [(file.name, {file.name: file.read_bytes()}) for file in folder.glob("*.png")]


def read_figure(path: Path, _: Path) -> None:
    from txm2sem_core.report.page.embedding import figure_data

    figure_data(path)


def volumes(*suffixes: str) -> tuple[Callable[[Path], list[tuple[str, Files]]], Reader]:
    return lambda folder: volume_seeds(folder, suffixes), read_volume


FORMATS: dict[str, tuple[Callable[[Path], list[tuple[str, Files]]], Reader]] = {
    "TIFF": volumes(".tif", ".tiff"),
    "slices": volumes("folder", ".png"),
    "OME-Zarr": volumes("folder.zarr"),
    "HDF5": volumes(".h5", ".hdf5", ".nxs", ".hdf", ".he5"),
    "MRC": volumes(".mrc", ".rec", ".map", ".st", ".mrcs"),
    "Zeiss": volumes(".txm", ".txrm"),
    "figures": (figure_seeds, read_figure),
    "patch stores": (store_seeds, read_store),
    "models": (model_seeds, read_model),
    "tables and settings": (text_seeds, read_text),
}


def write_damaged(files: Files, folder: Path, rng: random.Random) -> None:
    """Damage one or two files; digests in the descriptions of stores and models are made to fit, most often."""
    changed = dict(files)
    for name in rng.sample(sorted(files), min(len(files), rng.choice((1, 1, 1, 2)))):
        changed[name] = damaged_file(name, changed[name], rng)
    if rng.random() < 0.8:
        changed = {name: _with_digests(name, data, changed) for name, data in changed.items()}
    for name, data in changed.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def _with_digests(name: str, data: bytes, files: Files) -> bytes:
    if Path(name).name not in ("store.json", "model.json"):
        return data
    digests = {Path(other).name: hashlib.sha256(content).hexdigest() for other, content in files.items()}
    try:
        value = json.loads(data)
        if isinstance(value.get("sha256"), dict):
            if value.pop("images_sha256", None) is not None:  # one digest for all images, as in version 0.1
                value["sha256"]["store.safetensors"] = ""
            value["sha256"] = {key: digests.get(key, digest) for key, digest in value["sha256"].items()}
        if "weights_sha256" in value:
            value["weights_sha256"] = digests["generator.safetensors"]
        return json.dumps(value).encode()
    except (ValueError, AttributeError):
        return data


def too_long(*_: object) -> None:
    raise HangError


def say(**values: Any) -> None:
    print(json.dumps(values), flush=True)


def main(name: str, first: int, last: int, folder: Path) -> None:
    make, read = FORMATS[name]
    (folder / "seeds").mkdir(parents=True)
    seeds = make(folder / "seeds")
    opened, files = seeds[0]
    place = folder / "input"
    for name_, data in files.items():  # once as it is: libraries are loaded before memory is bound
        (place / name_).parent.mkdir(parents=True, exist_ok=True)
        (place / name_).write_bytes(data)
    read(place / opened, place)
    guards.available_memory = lambda: MEMORY
    status = Path("/proc/self/status").read_text().splitlines()
    used = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (used + 3 * MOST_GROWTH, used + 3 * MOST_GROWTH))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    signal.signal(signal.SIGPROF, too_long)
    warnings.simplefilter("ignore")
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for number in range(first, last):
        if (number - first) % 100 == 0:
            say(at=number)
        rng = random.Random(f"{name} {number}")
        shutil.rmtree(place)
        place.mkdir()
        opened, files = rng.choice(seeds)
        write_damaged(files, place, rng)
        (folder / "at").write_text(str(number))
        begun = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of the processor: others may be at work
        try:
            read(place / opened, place)
            outcomes["read"] += 1
        except Txm2semError as error:
            outcomes["refused"] += 1
            if isinstance(error.__cause__, MemoryError):
                say(failed=number, opened=opened, how=f"it asked for more than the bound: {str(error)[:300]}")
            if "\n" in str(error) or not str(error).strip():
                say(failed=number, opened=opened, how=f"a message of several lines: {str(error)[:300]}")
        except HangError:
            say(failed=number, opened=opened, how=f"it took more than {SECONDS} s")
        except BaseException:
            say(failed=number, opened=opened, how=traceback.format_exc()[-1500:])
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, time.process_time() - begun)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
        if grown > MOST_GROWTH:
            say(failed=number, opened=opened, how=f"the process grew by {grown >> 20} MiB")
            before += grown
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10) - before
    say(done=dict(outcomes), slowest_s=round(slowest, 2), grown_mib=grown >> 20)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
