"""What a run will take, before anything of it runs: Snakemake's plan, and the costs of its jobs."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from txm2sem_core.config import TrainSettings
from txm2sem_core.costs.forecast import PlannedJob, StageCost, forecast
from txm2sem_core.costs.memory import has_cost
from txm2sem_core.costs.reservations import Reservations
from txm2sem_core.costs.trial import NetworkSpeed
from txm2sem_core.errors import ConfigError, print_warnings
from txm2sem_core.io import read_yaml
from txm2sem_core.samples.preflight import check_run

_OURS = "txm2sem: error: "
_BLOCK = re.compile(r"\n(?=(?:local)?rule \w+:\n)")


def plan_run(config: Path, *, whole: bool, device: str, snakefile: Path = Path("Snakefile")) -> dict[str, StageCost]:
    """What the jobs that are left of a run will take, by stage.

    Networks are tried on this machine, by one thread of its processor or on its GPU.

    Args:
        config: the configuration.
        whole: also what is there already.
        device: `auto`, `cpu` or `cuda`, which networks are tried on.
        snakefile: of the workflow.

    Raises:
        ConfigError: the configuration is wrong, or there is no workflow in this folder.
    """
    import torch

    from txm2sem_core.costs.networks import tried_speed
    from txm2sem_core.networks import load_plugins

    checked = check_run(read_yaml(config), str(config))
    jobs = list(planned_jobs(config, ["--snakefile", str(snakefile), *["--forceall"] * whole]))
    foreign = {job.rule for job in jobs if not has_cost(job.rule)}
    if foreign:
        print_warnings("plan", [f"not counted, since they are not rules of TXM2SEM: {', '.join(sorted(foreign))}"])
    load_plugins(checked.config.plugins)
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    tried_on = torch.device("cuda" if on_gpu else "cpu")
    if not on_gpu:
        torch.set_num_threads(1)
    tried: dict[str, NetworkSpeed] = {}

    def speed(settings: TrainSettings) -> NetworkSpeed:
        key = settings.canonical_json()
        if key not in tried:
            tried[key] = tried_speed(settings, checked.config.patches.size_px, tried_on)
        return tried[key]

    return forecast((job for job in jobs if job.rule not in foreign), Reservations(checked), speed, on_gpu=on_gpu)


def planned_jobs(config: Path, options: Sequence[str] = ()) -> Iterator[PlannedJob]:
    """The jobs of Snakemake's dry run in this folder.

    Raises:
        ConfigError: Snakemake cannot plan; its last lines say why.
    """
    command = [sys.executable, "-m", "snakemake", "--configfile", str(config), "--dry-run", "--nolock", "--cores", "8"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        ours = [line.removeprefix(_OURS) for line in said if line.startswith(_OURS)]
        raise ConfigError(ours[-1] if ours else f"snakemake cannot plan this run: {' '.join(said[-3:])}")
    for block in _BLOCK.split("\n" + done.stdout + done.stderr)[1:]:
        name = re.match(r"(?:local)?rule (\w+):", block)
        if name is None or "\n    output: " not in block:  # what only asks for files of others
            continue
        wildcards = re.search(r"^    wildcards: (.*)$", block, re.MULTILINE)
        threads = re.search(r"^    threads: (\d+)$", block, re.MULTILINE)
        given = dict(part.split("=", 1) for part in wildcards[1].split(", ")) if wildcards else {}
        yield PlannedJob(name[1], given, int(threads[1]) if threads else 1)
