"""(d) The project's own benchmark, the cases that fit, one after another until the time is over; results after each.

Uses benchmarks/run.py as it is.
"""

from __future__ import annotations

import argparse
import datetime
import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from common import DEVICE, KIT, OUT, TINY, WORK, left, save, say, with_benchmarks


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, default=8)
    threads = parser.parse_args().threads
    notes: list[str] = []
    with_benchmarks()
    import benchmark_cases as cases
    import run as bench_run
    import turns
    from benchmark_cases import Case
    from report import write_report
    from sections import PUBLISHED

    kind = DEVICE.type
    if TINY:
        small = {
            "resnet_1blocks": Case("feedforward", "resnet_9blocks", 1, 4),
            "SRGAN x4, width 256": Case("srgan", "sr_resnet_9blocks", 4, 4),
        }
        training, planes = small, {"resnet_9blocks": (Case("feedforward", "resnet_9blocks", 1, 4), 64)}
        bench_run.VOLUME_WIDTH = 4
    else:
        training, planes = cases.training_cases(kind), cases.plane_cases(kind)
    ways = dict(cases.WAYS[kind])
    compiled = {name: way for name, way in ways.items() if "compiled" in name}
    plain = {name: way for name, way in ways.items() if name not in compiled}
    chosen = argparse.Namespace(
        published=KIT / "published",
        jacobian=KIT / "jacobian",
        rivals=sys.executable,
        device=kind,
        threads=threads,
        rounds=1,
        steps=3 if TINY else 100,
        planes=1 if TINY else 30,
        planes_of=None,
        results=None,
        shared=False,
        side=128 if TINY else 1024,
        depths=[4, 8] if TINY else [32, 256],
        quick=True,
        only=None,
        output=OUT / "benchmarks-gpu.md",
    )
    work = WORK / "bench"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    bench = bench_run.Bench(chosen, work)
    notes.append(f"absent: {', '.join(bench.absent) or 'nothing'}")
    raw: list[dict[str, Any]] = []
    inner = turns.run

    def one(contender: turns.Contender) -> dict[str, Any]:
        begun = time.perf_counter()
        row: dict[str, Any] = {
            "command": " ".join(Path(word).name if "/" in word else word for word in contender.command[1:])
        }
        try:
            said = inner(contender)
            row |= said
            return said
        except Exception as error:
            row["error"] = str(error)[-1500:]
            raise
        finally:
            row["wall_s"] = time.perf_counter() - begun
            raw.append(row)
            (OUT / "benchmarks.json").write_text(json.dumps({"notes": notes, "runs": raw}, indent=1))

    slowest = [12.0 if not TINY else 1.0]

    def take_turns(contenders: dict[str, turns.Contender], rounds: int) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for name, contender in contenders.items():
            if left() < 2 * slowest[0]:
                notes.append(f"no time left: {name}")
                continue
            begun = time.perf_counter()
            try:
                found[name] = [one(contender)]
            except Exception as error:
                notes.append(f"{name}: {str(error)[-400:]}")
                say(name, str(error)[-1500:])
            slowest[0] = max(slowest[0], time.perf_counter() - begun) if "compiled" not in name else slowest[0]
            say(f"    {name}: {time.perf_counter() - begun:.1f} s, {left():.0f} s left")
        return found

    bench_run.take_turns = take_turns
    folders = bench_run.shale_images.write_published_folders
    bench_run.shale_images.write_published_folders = lambda images: None if images.exists() else folders(images)
    found: dict[str, dict[str, Any]] = {"training": {}, "planes": {}, "thin": {}, "thick": {}}

    def keep() -> None:
        page = {key: {name: runs for name, runs in value.items() if runs} for key, value in found.items()}
        page["planes"] = {name: runs for name, runs in page["planes"].items() if "published" in runs}
        page["thin"] = {name: runs for name, runs in page["thin"].items() if "ours" in runs}
        if not page["thin"]:
            page.pop("thin")
            page.pop("thick")
        save("d_benchmarks", {"notes": notes, "found": found})
        try:
            write_report(page, bench.absent, chosen, bench_run.VOLUME_WIDTH)
        except Exception as error:
            say("the page:", type(error).__name__, error)

    def train(name: str, penalised: bool, ways: dict[str, Any], rivals: bool = True) -> None:
        bench.ways = ways
        bench_run.training_cases = lambda device: {name: training[name]}
        original = bench._trainers

        def trainers(case: Any, images: Path, store: Path, steps: int, p: bool) -> dict[str, turns.Contender]:
            all_of_them = original(case, images, store, steps, p) if p == penalised else {}
            return {name: one for name, one in all_of_them.items() if rivals or name not in PUBLISHED}

        bench._trainers = trainers
        try:
            for title, runs in bench.training().items():
                if runs:
                    found["training"].setdefault(title, {}).update(runs)
        finally:
            bench._trainers = original

    def predict(name: str, ways: dict[str, Any]) -> None:
        bench.ways = ways
        bench_run.plane_cases = lambda device: {name: planes[name]}
        shutil.rmtree(work / "planes", ignore_errors=True)
        for title, runs in bench.planes().items():
            found["planes"].setdefault(title, {}).update(runs)

    def volume(name: str, ways: dict[str, Any]) -> None:
        bench.ways = ways
        bench_run.GENERATORS = [name]
        for title, runs in bench.volumes(chosen.depths[0], 1).items():
            found["thin"][title] = runs

    def first(kinds: dict[str, Any], *wanted: str) -> str:
        return next((name for want in wanted for name in kinds if want in name), next(iter(kinds)))

    srgan, resnet, unet = first(training, "SRGAN"), first(training, "resnet_9blocks", "resnet"), first(training, "unet")
    plan = [
        *(partial(train, name, False, dict[str, Any]()) for name in (srgan, resnet, unet)),  # the published code alone
        *(partial(train, name, False, plain, False) for name in (srgan, resnet, unet)),
        lambda: predict(first(planes, "resnet_9blocks"), plain),
        lambda: volume(bench_run.GENERATORS[0], plain),
        lambda: predict(first(planes, "width 256", "sr_resnet"), plain),
        lambda: train(srgan, False, compiled),
        lambda: predict(first(planes, "unet_128"), plain),
        lambda: train(resnet, True, plain),
        lambda: volume("unet_128", plain),
        lambda: train(first(training, "x2"), False, plain),
        lambda: predict(first(planes, "resnet_9blocks"), ways),
        lambda: train(resnet, False, compiled),
    ]
    if TINY:
        plan = [plan[0], plan[3], plan[6], plan[7]]
    for step in plan:
        if left() < 2 * slowest[0]:
            notes.append("no time left for the rest of the plan")
            break
        try:
            step()
        except Exception as error:  # the next case goes on
            notes.append(f"{type(error).__name__}: {str(error)[-400:]}")
            say(type(error).__name__, str(error)[-1500:])
        keep()
    say(datetime.datetime.now(), notes)
    raise SystemExit(1 if any("error" in row for row in raw) else 0)


if __name__ == "__main__":
    main()
