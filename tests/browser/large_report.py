"""A report of synthetic volumes of 200 slices whose grey levels are known at every voxel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from txm2sem_core import io
from txm2sem_core.report.page import ReportData, write_report
from txm2sem_core.report.volumes import Source, embed_volumes

SHAPE = (200, 80, 128)
VOXEL_NM = (30.0, 25.0, 25.0)
HOSTILE = "<img src=x onerror=document.title='run'><script>document.title='run'</script>"
# grey levels that are shown as black and white of all FIB-SEM images
LOW, HIGH = 0, 255


def level(z: int, y: float, x: float) -> float:
    """The grey level of `ramp` at shares y and x of the plane."""
    return 30 + z / 4 + y * SHAPE[1] / 2 + x * SHAPE[2]


def ramp(z: int) -> np.ndarray:
    """The prediction's slice: 30 + z / 4 + y / 2 + x grey levels."""
    _, height, width = SHAPE
    return (30 + z / 4 + np.arange(height)[:, None] / 2 + np.arange(width)[None]).astype(np.uint8)


def steady(z: int) -> np.ndarray:
    """The baseline's: 60 everywhere."""
    return np.full(SHAPE[1:], 60, np.uint8)


def rings(z: int) -> np.ndarray:
    """The TXM's: rings around the middle of each slice, which widen along z; 16 bits."""
    _, height, width = SHAPE
    y, x = np.ogrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    return (20000 + 9000 * np.sin((distance - z) / 3)).astype(np.uint16)


def unsure(z: int) -> np.ndarray:
    """An uncertainty that grows along y."""
    return np.broadcast_to((np.arange(SHAPE[1])[:, None] / 4), SHAPE[1:]).astype(np.uint8)


def _stack(path: Path, slices: Any) -> Path:
    dtype = slices(0).dtype
    planes: Iterator[np.ndarray] = (slices(z) for z in range(SHAPE[0]))
    io.write_ome_zarr(path, planes, SHAPE, dtype, VOXEL_NM)
    return path


def _row(variant: str, kind: str, psnr: float, ssim: float) -> dict[str, Any]:
    scores = {"psnr_mean": psnr, "psnr_stderr": 0.1, "ssim_mean": ssim, "ssim_stderr": 0.01, "mae_mean": 1 / psnr}
    return {"variant": variant, "label": variant, "kind": kind, "factor": 1, "seeds": 1, "n": 40, "slices": 4, **scores}


def write_large_report(folder: Path) -> Path:
    """Write it, and give its path."""
    write_report(folder / "report.html", large_report(folder))
    return folder / "report.html"


def write_report_of_two(folder: Path) -> Path:
    """Write a report of two samples: the index, which is given, and a page of each."""
    report = large_report(folder)
    (sample,) = report["samples"]
    report["samples"] = [{**sample, "name": name} for name in ("one rock", "another")]
    write_report(folder / "report.html", report)
    return folder / "report.html"


def large_report(folder: Path) -> ReportData:
    """What is in it; its files lie in the folder."""
    sources = [
        Source("TXM", "txm", _stack(folder / "txm.ome.zarr", rings)),
        Source("ramp", "prediction", _stack(folder / "ramp.ome.zarr", ramp)),
        Source(f"steady {HOSTILE}", "baseline", _stack(folder / "steady.ome.zarr", steady)),
        Source("Uncertainty of ramp", "uncertainty", _stack(folder / "unsure.ome.zarr", unsure)),
        Source("TXM not explained by ramp", "residual", _stack(folder / "left.ome.zarr", unsure)),
    ]
    figures = []
    for number in range(3):
        figures.append(folder / f"figure{number}.png")
        Image.fromarray(np.kron(np.eye(6, 10, number), np.ones((100, 100))).astype(np.uint8) * 200).save(figures[-1])
    columns = [("label", "Variant", 3), ("fraction_0", "Darkest phase of all that there are", 3)]
    columns += [(f"figure_{i}", f"A long heading, number {i}", 3) for i in range(9)]
    rows = [
        {"label": name, "fraction_0": 0.1, **{f"figure_{i}": i / 7 for i in range(9)}} for name in ("ramp", "steady")
    ]
    sample: dict[str, Any] = {
        "name": f"large {HOSTILE}",
        "source": "synthetic",
        "real": False,
        "description": HOSTILE,
        "voxel_size_nm": VOXEL_NM,
        "pairs_total": 9,
        "pairs_refused": [{"pair": "007", "reasons": [HOSTILE]}],
        "patches": "64 × 64 pixels: train 6 pairs, 40 patches",
        "table": [
            _row("ramp", "learned", 20.0, 0.5),
            _row("other", "learned", 19.0, 0.6),
            _row("steady", "baseline", 18.0, 0.7),
        ],
        "paired": [],
        "beyond": ["Continuity along z: nothing was measured of it."],
        "tables": [{"key": "volumes", "title": "Volumes", "note": "A wide table.", "columns": columns, "rows": rows}],
        "figures": [
            {"title": f"Figure of {n}", "caption": f"What figure {n} shows.", "path": path}
            for n, path in enumerate(figures)
        ],
        "volumes": [{"variant": "ramp", "path": str(folder / "ramp.ome.zarr")}],
        "warnings": ["Every learned variant was trained with a single seed.", HOSTILE],
        "viewer": embed_volumes(sources, (LOW, HIGH), VOXEL_NM, most_bytes=20e6),
    }
    return {
        "title": "A large report",
        "created_by": "TXM2SEM",
        "samples": [sample],  # type: ignore[typeddict-item]
        "settings_yaml": HOSTILE,
        "versions": {"python": "3"},
    }
