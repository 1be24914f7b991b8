"""Time and memory of pore sizes, diffusion and flow, beside PoreSpy and taufactor where they can be imported.

    python benchmarks/pore_space.py 64 128                       # voxels a side
    python benchmarks/pore_space.py 64 128 --rivals PYTHON       # of an environment with porespy, openpnm and taufactor

One random rock (a smooth Gaussian field, a fifth of it pore) is measured along z by one thread, each program in a
process of its own, one after another. Memory is what the process had resident at most while it computed, less what it
had before, over the voxels. Seconds are those of the processor, which other work on the machine disturbs little. PuMA
is not among them: `pumapy` of the package index is another program of that name.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Pores = NDArray[np.bool_]
Measure = Callable[[], str]
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def rock(side: int) -> Pores:
    """A field that is smooth over two voxels; a fifth of it is pore."""
    from scipy import ndimage

    noise = np.random.default_rng(0).standard_normal((side, side, side), dtype=np.float32)
    field = ndimage.gaussian_filter(noise, 2.0, mode="wrap")
    return np.asarray(field < np.quantile(field[:: max(1, side // 64)], 0.2))


def our_sizes(pore: Pores) -> Measure:
    """By the local thickness, prepared so that only `mean` is measured."""
    from txm2sem_core.metrics.pores.geometry import pore_diameters

    def mean() -> str:
        diameters, shares = pore_diameters(pore, 1)
        return f"mean {diameters @ shares:.2f} voxels"

    return mean


def our_diffusion(pore: Pores) -> Measure:
    """Along z."""
    from txm2sem_core.metrics.pores.diffusivity import diffusivity

    return lambda: f"{diffusivity(pore, 1, 0).relative:.6f}"


def our_flow(pore: Pores) -> Measure:
    """Along z."""
    from txm2sem_core.metrics.pores.permeability import permeability

    return lambda: f"{permeability(pore, 1e9, 0):.5f} voxels²"


def porespy_sizes(pore: Pores) -> Measure:
    """Twice the radii of its local thickness."""
    from porespy import filters

    return lambda: f"mean {2 * filters.local_thickness(pore)[pore].mean():.2f} voxels"


def porespy_diffusion(pore: Pores) -> Measure:
    """Along z; it needs OpenPNM."""
    from porespy import simulations

    return lambda: f"{1 / simulations.tortuosity_fd(im=pore, axis=0).formation_factor:.6f}"


def taufactor_diffusion(pore: Pores) -> Measure:
    """Along z, on the CPU, to 1e-4."""
    import taufactor
    import torch

    torch.set_num_threads(1)

    def effective() -> str:
        solver = taufactor.Solver(pore.astype(np.uint8), device="cpu")
        solver.solve(verbose=False, conv_crit=1e-4)
        return f"{float(solver.D_eff[0]):.6f}"

    return effective


CASES: dict[str, dict[str, Callable[[Pores], Measure]]] = {
    "sizes": {"ours": our_sizes, "porespy": porespy_sizes},
    "diffusion": {"ours": our_diffusion, "taufactor": taufactor_diffusion, "porespy": porespy_diffusion},
    "flow": {"ours": our_flow},
}


def resident(key: str) -> int:
    """VmRSS or VmHWM of this process, in bytes."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return 1024 * int(line.split()[1])


def one(what: str, program: str, side: int) -> dict[str, Any]:
    """Measure in this process."""
    pore = rock(side)
    measure = CASES[what][program](pore)
    CLEAR.write_text("5")  # the peak begins anew
    before, start = resident("VmRSS"), time.process_time()
    value = measure()
    seconds = time.process_time() - start
    return {"seconds": seconds, "bytes": (resident("VmHWM") - before) / pore.size, "value": value}


def version(program: str) -> str:
    """Of what was measured."""
    return importlib.metadata.version("txm2sem" if program == "ours" else program)


def process(what: str, program: str, side: int, python: str, most: float) -> dict[str, Any]:
    """Measure in a process of its own; `why` says what went wrong there."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    command = [python, __file__, str(side), "--only", what, program]
    try:
        done = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, timeout=most)
    except subprocess.TimeoutExpired:
        return {"why": f"more than {most:g} s"}
    if done.returncode:
        return {"why": (done.stderr.strip().splitlines() or ["died"])[-1]}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print the table, or measure one case of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", type=int, nargs="+", help="voxels a side")
    parser.add_argument("--rivals", default=sys.executable, metavar="PYTHON", help="of their environment")
    parser.add_argument("--most", type=float, default=1800, metavar="SECONDS", help="for one measurement")
    parser.add_argument("--only", nargs=2, metavar=("WHAT", "PROGRAM"), help="one, as JSON")
    given = parser.parse_args()
    if given.only:
        what, program = given.only
        print(json.dumps(one(what, program, given.sides[0]) | {"version": version(program)}))
        return
    print("| measure | voxels | program | processor, s | bytes a voxel | value |\n|---|---|---|---|---|---|")
    for what, programs in CASES.items():
        for side in given.sides:
            for program in programs:
                python = sys.executable if program == "ours" else given.rivals
                found = process(what, program, side, python, given.most)
                name = f"{program} {found.get('version', '')}".strip()
                cells = [f"{found['seconds']:.1f}", f"{found['bytes']:.0f}"] if "seconds" in found else ["", ""]
                row = [what, f"{side}³", name, *cells, str(found.get("value", found.get("why")))]
                print("|", " | ".join(row), "|", flush=True)


if __name__ == "__main__":
    main()
