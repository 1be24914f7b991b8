"""(c) A training on the device: twice the same, killed and gone on, and asked to end (SIGTERM) and gone on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import DEVICE, ROOT, TINY, WORK, save, say
from safetensors.numpy import load_file

sys.path.insert(0, str(ROOT / "tests" / "helpers"))
from small_data import make_store

SETTINGS = {
    "family": "pix2pix",
    "generator": {"name": "unet_64", "width": 8, "dropout": True},
    "discriminator": {"width": 8},
    "z_penalty": {"perturbation": 0.01, "every": 2},
    "ema_decay": 0.9,
    "batch_size": 4,
    "schedule": {"policy": "constant", "epochs": 3 if TINY else 8},
    "select": "last",
}


def command(store: Path, output: Path) -> list[str]:
    return [
        sys.executable,
        "-m",
        "txm2sem_core",
        "train",
        "--patches",
        str(store),
        "--settings",
        json.dumps(SETTINGS),
        "--output",
        str(output),
        "--device",
        DEVICE.type,
        "--threads",
        "1",
        "--name",
        output.name,
    ]


def whole(store: Path, output: Path) -> str:
    done = subprocess.run(command(store, output), capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{output.name}: {done.returncode}: {done.stderr[-1500:]}")
    return done.stderr


def broken(store: Path, output: Path, with_signal: int) -> dict[str, Any]:
    """Ended within its second epoch, or later, then run again until it is whole."""
    environment = {**os.environ, "TXM2SEM_SAVE_SECONDS": "0"}  # after every step
    log = (WORK / "logs" / f"c_resume_{output.name}.log").open("w")
    process = subprocess.Popen(command(store, output), stderr=log, stdout=log, env=environment)
    begun = time.time()
    place = Path(log.name)
    while time.time() - begun < 200 and process.poll() is None and "epoch 1 of" not in place.read_text():
        time.sleep(0.02)
    time.sleep(0.1)
    process.send_signal(with_signal)
    code = process.wait()
    left_state = list((output / ".state").glob("*.pt")) if (output / ".state").is_dir() else []
    finished_before = (output / "generator.safetensors").exists()
    said = whole(store, output)
    went_on = [line for line in said.splitlines() if "goes on after" in line]
    return {"code": code, "states": len(left_state), "finished_before": finished_before, "went_on": went_on}


def difference(one: Path, other: Path) -> dict[str, Any]:
    a, b = (load_file(folder / "last.safetensors") for folder in (one, other))
    same = (one / "last.safetensors").read_bytes() == (other / "last.safetensors").read_bytes()
    worst = max(float(np.abs(a[key].astype(np.float64) - b[key]).max()) for key in a)
    size = max(float(np.abs(a[key].astype(np.float64)).max()) for key in a)
    histories = [(folder / "history.csv").read_text().splitlines()[-1].split(",") for folder in (one, other)]
    return {"same_bytes": same, "greatest": worst, "of_at_most": size, "last_rows": histories}


def main() -> None:
    place = WORK / "resume"
    shutil.rmtree(place, ignore_errors=True)
    store = place / "store"
    make_store(store, size_px=64, train=24 if TINY else 64, evaluation=4)
    found: dict[str, Any] = {}
    with ThreadPoolExecutor(1 if TINY else 4) as pool:
        tasks = {
            "first": pool.submit(whole, store, place / "first"),
            "again": pool.submit(whole, store, place / "again"),
            "killed": pool.submit(broken, store, place / "killed", signal.SIGKILL),
            "ended": pool.submit(broken, store, place / "ended", signal.SIGTERM),
        }
        for name, task in tasks.items():
            try:
                result = task.result()
                found[name] = result if isinstance(result, dict) else {"ok": True}
                if name != "first":
                    found[name] |= difference(place / "first", place / name)
            except Exception as error:
                found[name] = {"error": f"{type(error).__name__}: {str(error)[-1500:]}"}
            save("c_resume", found)
            say(name, found[name])
    raise SystemExit(1 if any("error" in one for one in found.values()) else 0)


if __name__ == "__main__":
    main()
