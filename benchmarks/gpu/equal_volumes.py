"""(c) A volume on the device: whole, whole again, by tiles, by slabs, by the command, stopped and gone on; and the CPU's."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from common import DEVICE, ON_GPU, TINY, WORK, save, say, with_benchmarks

with_benchmarks()
import volume_inputs  # noqa: E402

from txm2sem_core.config import ComputeSettings, PredictSettings  # noqa: E402
from txm2sem_core.inference import predict_volume  # noqa: E402

NETWORKS = {"resnet_6blocks": 8, "unet_64": 8}
SHAPE = (20, 192, 160) if TINY else (40, 320, 288)


def bytes_of(volume: Path) -> dict[str, bytes]:
    """The chunks' bytes of the full resolution and the pyramid."""
    return {
        str(f.relative_to(volume)): f.read_bytes() for f in sorted(volume.rglob("*")) if f.is_file() and "c" in f.parts
    }


def unlike(one: Path, other: Path) -> dict[str, Any]:
    a, b = (np.asarray(zarr.open_group(v, mode="r")["0"][:]).astype(int) for v in (one, other))
    change = np.abs(a - b)
    return {
        "same_chunks": bytes_of(one) == bytes_of(other),
        "greatest": int(change.max()),
        "share": float((change > 0).mean()),
        "share_above_1": float((change > 1).mean()),
    }


def main() -> None:
    place = WORK / "equal"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    source = place / "volume.tif"
    volume_inputs.make_volume(source, SHAPE)
    torch.set_num_threads(2 if TINY else 4)
    found: dict[str, Any] = {}
    for name, width in NETWORKS.items():
        model = place / name
        volume_inputs.make_model(model, name, width)
        base = dict(device=DEVICE.type)
        row: dict[str, Any] = {}

        def made(label: str, device: str = DEVICE.type, **more: Any) -> Path:
            target = place / f"{name}_{label}.ome.zarr"
            predict_volume(model, source, target, device=device, **more)
            return target

        def try_to(label: str, work) -> None:
            try:
                row[label] = unlike(first, work())
            except Exception as error:
                row[label] = {"error": f"{type(error).__name__}: {str(error)[-800:]}"}
            found[name] = row
            save("c_volume", found)
            say(name, label, row[label])

        def slabs() -> Path:
            target = place / f"{name}_slabs.ome.zarr"
            for slab in (2, 1, 3):
                predict_volume(model, source, target, slab=(slab, 3), **base)
            predict_volume(model, source, target, only_finish=True, **base)
            return target

        def stopped() -> Path:
            target = place / f"{name}_stopped.ome.zarr"
            asked = iter([False] * (SHAPE[0] * 3 // 4))
            predict_volume(model, source, target, should_stop=lambda: next(asked, True), **base)
            assert not target.exists()
            predict_volume(model, source, target, **base)
            return target

        def by_command() -> Path:
            target = place / f"{name}_command.ome.zarr"
            subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "txm2sem_core",
                    "predict",
                    "--model",
                    str(model),
                    "--input",
                    str(source),
                    "--output",
                    str(target),
                    "--device",
                    DEVICE.type,
                    "--tile",
                    "100000",
                ],
                check=True,
                capture_output=True,
                timeout=200,
            )
            return target

        first = made("first")
        try_to("again", lambda: made("again"))
        try_to("slabs", slabs)
        try_to("stopped", stopped)
        try_to("tiled", lambda: made("tiled", tile=96 if name.startswith("resnet") else 128))
        try_to("command", by_command)
        try_to("cpu", lambda: made("cpu", device="cpu"))
        half = PredictSettings(compute=ComputeSettings(precision="bfloat16"))
        try_to("bfloat16", lambda: made("bfloat16", settings=half))
        last = PredictSettings(compute=ComputeSettings(precision="bfloat16", channels_last=True))
        try_to("bfloat16, channels last", lambda: made("bfloat16cl", settings=last))
    errors = [1 for row in found.values() for one in row.values() if "error" in one]
    most = 1 if ON_GPU else 0  # grey levels: a GPU gives no two calls the same bytes
    broken = [
        1 for row in found.values() for label in ("slabs", "stopped") if row.get(label, {}).get("greatest", 256) > most
    ]
    raise SystemExit(1 if errors or broken else 0)


if __name__ == "__main__":
    main()
