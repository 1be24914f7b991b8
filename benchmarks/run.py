"""Measure ours beside its rivals, in turns on this machine, and write what was found as docs/evidence/benchmarks.md.

    make benchmark PUBLISHED=... JACOBIAN=... RIVALS=...      see benchmarks/README.md
    ... BENCHMARK_OPTIONS="--device cuda"                     on a GPU, as docs/evidence/benchmarks-gpu.md

Every measurement is a process of its own. A figure is the median over the rounds; a ratio is one of medians.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import shale_images
import torch
import volume_inputs
import zarr
from benchmark_cases import (
    ENGINE_WAYS,
    ENGINES,
    LARGE_PLANES,
    OURS_ALONE,
    PATCH_PX,
    PENALTY,
    WAYS,
    Case,
    plane_cases,
    training_cases,
)
from devices import WARM_UP
from report import write_report
from sections import PUBLISHED
from stage_sizes import STAGES
from turns import KEEP, Contender, python_path, run, take_turns

from txm2sem_core import io

HERE = Path(__file__).resolve().parent
SHOWN = {"cpu": Path("docs/evidence/benchmarks.md"), "cuda": Path("docs/evidence/benchmarks-gpu.md")}
GENERATORS = ["resnet_6blocks", "unet_128"]  # of whole volumes
VOLUME_WIDTH = 16
WITH_NETWORKS = ["training", "planes", "volumes"]
KINDS = [*WITH_NETWORKS, "stages", "workflow"]
STEPS, PLANES = {"cpu": 15, "cuda": 300}, {"cpu": 3, "cuda": 50}  # that are measured
Found = dict[str, dict[str, list[dict[str, Any]]]]


class Bench:
    """What the measurements have in common: where the rivals are, threads, rounds, and a folder for what is made."""

    def __init__(self, chosen: argparse.Namespace, work: Path) -> None:
        self.chosen, self.work = chosen, work
        self.rounds: int = 1 if chosen.quick else chosen.rounds
        self.on: tuple[str, ...] = ("--device", chosen.device, "--threads", str(chosen.threads))
        self.on += ("--clock", "processor") if chosen.shared else ()
        self.ways = {"ours": ()} if chosen.shared else WAYS[chosen.device]
        both = chosen.device == "cpu" and not chosen.shared  # a GPU's memory is kept by PyTorch
        self.kept = (False, True) if both else (False,)
        self.rival_python = chosen.rivals
        self.absent = self._absent()
        is_known = chosen.results is not None and chosen.results.exists()
        self.known: dict[str, Found] = json.loads(chosen.results.read_text(encoding="utf-8")) if is_known else {}
        self.published = {"PYTHONPATH": python_path(chosen.published, chosen.jacobian)}

    @property
    def has_published(self) -> bool:
        """Whether the published code can be run."""
        return not {"the published code", "its Jacobian penalty"} & set(self.absent)

    def _absent(self) -> list[str]:
        packages = {"MONAI": "monai", "CAREamics": "careamics", "the published code": "torchvision", **ENGINES}
        absent = [name for name, package in packages.items() if not self._rivals_have(package)]
        named = {"the published code": self.chosen.published, "its Jacobian penalty": self.chosen.jacobian}
        return list(dict.fromkeys([*absent, *(name for name, place in named.items() if not place.is_dir())]))

    def _rivals_have(self, package: str) -> bool:
        look = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        python = shutil.which(self.rival_python)
        return python is not None and subprocess.run([python, "-c", look], check=False).returncode == 0

    def ours(self, script: str, *arguments: object) -> Contender:
        """One of our scripts that compute with a network."""
        return script_of_ours(script, *arguments, *self.on)

    def rival(self, script: str, *arguments: object, keep: bool = False, where: Path | None = None) -> Contender:
        """A rival's script; with `keep`, its C library keeps freed memory, as ours does by itself."""
        command = [self.rival_python, str(HERE / script), *map(str, arguments), *self.on]
        environment = self.published | (KEEP if keep else {})
        return Contender(command, environment, where)

    def training(self) -> Found:
        """Patches a second of each case, without a penalty and with one."""
        found: Found = {}
        images = self.work / "published"
        shale_images.write_published_folders(images)
        for name, case in training_cases(self.chosen.device).items():
            store = self.work / f"patches_x{case.factor}"
            steps = self.chosen.steps if case.factor == 1 else 3 * self.chosen.steps
            shale_images.write_store(store, PATCH_PX, case.factor, WARM_UP[self.chosen.device] + steps)
            for penalised in (False, True):
                contenders = self._trainers(case, images, store, steps, penalised)
                title = f"{name}, z-penalty" if penalised else name
                print(title, file=sys.stderr, flush=True)
                found[title] = take_turns(contenders, self.rounds)
        return found

    def _trainers(self, case: Case, images: Path, store: Path, steps: int, penalised: bool) -> dict[str, Contender]:
        network = ["--family", case.family, "--generator", case.generator]
        network += ["--factor", str(case.factor), "--width", str(case.width), "--steps", str(steps)]
        theirs = [*network, "--patch", PATCH_PX, "--penalty", PENALTY if penalised else 0.0]
        contenders = {}
        if self.has_published:
            for keep in self.kept:
                contenders[PUBLISHED[keep]] = self.rival("train_published.py", *theirs, keep=keep, where=images)
        own = [*network, "--patches", store, "--weight", PENALTY]
        if penalised:
            for penalty in ("projection", "perturbation"):
                contenders[f"ours, {penalty}"] = self.ours("train_ours.py", *own, "--penalty", penalty)
        else:
            for label, way in self.ways.items():
                contenders[label] = self.ours("train_ours.py", *own, "--penalty", "none", *way)
        return contenders

    def planes(self) -> Found:
        """Seconds of a plane of each network."""
        found: Found = {}
        cases = plane_cases(self.chosen.device) if self.has_published else {}
        for name, (case, side) in cases.items():
            if not self.chosen.planes_of or {name, *name.split(", ")[1:]} & set(self.chosen.planes_of):
                print(f"plane, {name}", file=sys.stderr, flush=True)
                found[name] = self._planes_of(name, case, side)
                self._remember("planes", found)
        return self.known.get("planes", {}) | found

    def _remember(self, kind: str, found: Found) -> None:
        """Keep what was found, so that a part can be measured anew, and the page be written anew."""
        if self.chosen.results is not None:
            self.known[kind] = self.known.get(kind, {}) | found
            self.chosen.results.write_text(json.dumps(self.known, indent=1), encoding="utf-8")

    def _planes_of(self, name: str, case: Case, side: int) -> dict[str, list[dict[str, Any]]]:
        """Those of one network; of large planes the published code and ours alone, once a turn."""
        folder = self.work / "planes" / name.replace(" ", "_")
        folder.mkdir(parents=True)
        is_large = name in LARGE_PLANES
        network = ["--family", case.family, "--generator", case.generator, "--factor", case.factor]
        network += ["--width", case.width, "--side", side, "--folder", folder]
        network += ["--planes", 1 if is_large and self.chosen.device == "cpu" else self.chosen.planes]
        script = "predict_planes.py"
        kept = self.kept[:1] if is_large else self.kept
        if name in OURS_ALONE:
            exported = run(self.rival(script, "--who", "export", "--no-answer", *network))
            contenders = {}
        else:
            exported = run(self.rival(script, "--who", "export", *network))
            contenders = {
                PUBLISHED[keep]: self.rival(script, "--who", "published", *network, keep=keep) for keep in kept
            }
        for label, way in self.ways.items():
            if label == "ours" or not is_large:
                contenders[label] = self.ours(script, "--who", "ours", *network, *way)
        if not is_large and self.chosen.device == "cpu":
            contenders |= self._engines(folder, side)
        runs = take_turns(contenders, 1 if is_large and self.chosen.shared else self.rounds)
        shutil.rmtree(folder)
        return {"export": [exported], **runs}

    def _engines(self, folder: Path, side: int) -> dict[str, Contender]:
        """The engines that are there, with the network converted for them."""
        own = ["--folder", folder, "--side", side, "--planes", self.chosen.planes]
        ways = {label: way for label, way in ENGINE_WAYS.items() if label.partition(",")[0] not in self.absent}
        if len(self.ways) == 1:  # float32 alone
            ways = {label: way for label, way in ways.items() if "bfloat16" not in label}
        if ways:
            run(self.rival("predict_engine.py", "--convert", *next(iter(ways.values())), *own))
        return {label: self.rival("predict_engine.py", *way, *own) for label, way in ways.items()}

    def volumes(self, depth: int, rounds: int) -> Found:
        """Seconds and memory of a volume of `depth` slices, from TIFF to zarr."""
        found: Found = {}
        side = self.chosen.side
        source = self.work / f"volume_{depth}.tif"
        volume_inputs.make_volume(source, (depth, side, side))
        for generator in GENERATORS:
            model = self.work / f"{generator}_{VOLUME_WIDTH}"
            volume_inputs.make_model(model, generator, VOLUME_WIDTH)
            output = self.work / "out"
            contenders = {}
            for label, way in self.ways.items():
                own = ["--model", model, "--input", source, "--output", output / f"{label}.ome.zarr", *way]
                contenders[label] = self.ours("volume_ours.py", *own)
            network = ["--network", model / volume_inputs.NETWORK_FILE, "--description", model / "model.json"]
            rivals = {"MONAI": "volume_monai.py", "CAREamics": "volume_careamics.py"}
            for label, script in rivals.items():
                if label not in self.absent:
                    theirs = [*network, "--input", source, "--output", output / f"{label}.zarr"]
                    contenders[label] = self.rival(script, *theirs)
                    if rounds > 1 and True in self.kept:  # minutes each
                        contenders[f"{label}, memory kept"] = self.rival(script, *theirs, keep=True)
            print(f"volume of {depth} slices, {generator}", file=sys.stderr, flush=True)
            found[generator] = take_turns(contenders, rounds)
            for label in (*self.ways.keys() - {"ours"}, *rivals.keys() - set(self.absent)):
                other = output / (f"{label}.ome.zarr" if label in self.ways else f"{label}.zarr")
                found[generator][label][-1] |= differences(output / "ours.ome.zarr", other)
        return found

    def stages(self) -> Found:
        """Seconds of the stages without a network, on inputs of one size and of eight times as much."""
        found: Found = {}
        for stage in STAGES:
            contenders = {
                str(times): script_of_ours(
                    "stage_sizes.py", "--stage", stage, "--times", times, "--folder", self.work / f"{stage}_{times}"
                )
                for times in (1, 8)
            }
            print(f"size, {stage}", file=sys.stderr, flush=True)
            found[stage] = take_turns(contenders, self.rounds)
        return found

    def workflow(self) -> Found:
        """Seconds of the demo, and how much of them its jobs did not work."""
        print("the demo", file=sys.stderr, flush=True)
        folders = [self.work / f"demo_{number}" for number in range(self.rounds)]
        runs = [run(script_of_ours("demo_overhead.py", "--folder", folder)) for folder in folders]
        return {"demo": {"ours": runs}}


def script_of_ours(script: str, *arguments: object) -> Contender:
    """A script of this folder, in this environment."""
    return Contender([sys.executable, str(HERE / script), *map(str, arguments)])


def differences(ours: Path, theirs: Path) -> dict[str, float]:
    """How another volume differs from ours: the mean in grey levels, and the share that differs by more than one."""
    mine = io.open_volume(ours)
    other = zarr.open_array(theirs / "0" if theirs.name.endswith(".ome.zarr") else theirs, mode="r")
    total, unlike, voxels = 0.0, 0, 0
    for z in range(mine.shape[0]):
        change = np.abs(mine.read(z, z + 1)[0].astype(int) - np.asarray(other[z]).astype(int))
        total, unlike, voxels = total + float(change.sum()), unlike + int((change > 1).sum()), voxels + change.size
    return {"mean_difference": total / voxels, "unlike": unlike / voxels}


def told(defaults: Mapping[str, object]) -> str:
    """Defaults of each device, for the help."""
    return "by default " + ", ".join(f"{value} ({device})" for device, value in defaults.items())


def main() -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", type=Path, default=Path("/nowhere"), help="checkout of suetri-a/TXM2SEM")
    parser.add_argument("--jacobian", type=Path, default=Path("/nowhere"), help="checkout of jacobian_regularizer")
    parser.add_argument("--rivals", default="nowhere", help="Python that has MONAI, CAREamics and torchvision")
    parser.add_argument("--device", choices=WAYS, default="cpu", help="of several GPUs the first visible one")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, help=f"of training, 3 times as many for small networks; {told(STEPS)}")
    parser.add_argument("--planes", type=int, help=f"that are predicted in a turn; {told(PLANES)}")
    parser.add_argument("--side", type=int, default=1024, help="of whole volumes, in pixels")
    parser.add_argument("--depths", type=int, nargs=2, default=[32, 256], help="slices of the volumes")
    parser.add_argument("--quick", action="store_true", help="one round of everything, and only the thinner volume")
    parser.add_argument("--only", nargs="+", choices=KINDS, help="leave the others as the page has them")
    parser.add_argument("--planes-of", nargs="+", help="planes by their names, or what follows in these")
    parser.add_argument("--results", type=Path, help="JSON of the planes found so far, which is added to")
    parser.add_argument("--shared", action="store_true", help="planes alone, by the processor's seconds of one thread")
    parser.add_argument("--output", type=Path, help=f"the page; {told(SHOWN)}")
    chosen = parser.parse_args()
    if chosen.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device cuda: no GPU is there, or this PyTorch is built without CUDA")
    if chosen.shared:  # seconds that pass would be those of other work on the machine as well
        chosen.only, chosen.threads = ["planes"], 1
    chosen.steps = chosen.steps or STEPS[chosen.device]
    chosen.planes = chosen.planes or PLANES[chosen.device]
    chosen.output = chosen.output or SHOWN[chosen.device]
    wanted = chosen.only or (KINDS if chosen.device == "cpu" else WITH_NETWORKS)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(chosen, Path(folder))
        thin, thick = chosen.depths
        found: dict[str, Found] = {}
        if "training" in wanted:
            found["training"] = bench.training()
        if "planes" in wanted:
            found["planes"] = bench.planes()
        if "volumes" in wanted:
            found["thin"] = bench.volumes(thin, bench.rounds)
            found["thick"] = {} if chosen.quick else bench.volumes(thick, 1)
        if "stages" in wanted:
            found["stages"] = bench.stages()
        if "workflow" in wanted:
            found["workflow"] = bench.workflow()
        write_report(found, bench.absent, chosen, VOLUME_WIDTH)


if __name__ == "__main__":
    main()
