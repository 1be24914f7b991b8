"""Everything about a finished run: inputs, settings, software, machine, jobs, models and results."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.provenance.digests import raw_digest
from txm2sem_core.provenance.environment import versions
from txm2sem_core.provenance.machine import commit, machine
from txm2sem_core.samples.table import Sample

FORMAT = 1
COLUMNS = (
    *("txm", "sem", "charge", "lowdensity", "highdensity", "labels", "txm_measured", "sem_measured"),
    *("txm_volume", "txm_volume_measured"),
    *("txm_2", "txm_3", "txm_volume_2", "txm_volume_3", "registered_by"),
)
_FROM_MODEL = (
    *("family", "seed", "generator", "selected", "config_digest", "weights_sha256", "patches_sha256"),
    *("normalisation", "further_scans", "started_from", "plugin", "made_with", "warnings"),
)


@dataclass(frozen=True)
class Run:
    """What the workflow knows of itself: paths relative to the folder that it runs in."""

    title: str
    settings: str  # YAML, complete; without those that are only of how it ran or looks
    samples: Sequence[Sample]
    results: Path
    models: Sequence[Path]  # model.json of each
    volumes: Sequence[Path]
    tables: Sequence[Path]
    report: Path
    pages: Sequence[Path] = ()  # of the report, one a sample, where there are several
    passing: Sequence[Path] = ()  # of the volumes those that are not kept


def describe_run(run: Run) -> dict[str, Any]:
    """What `provenance.json` holds. Only `written`, `machine` and `jobs` differ between two runs on one machine.

    Raises:
        InputError: a file of the run is missing or damaged.
    """
    config = yaml.safe_load(run.settings)
    return {
        "format": FORMAT,
        "written": _text(datetime.now(UTC)),
        "software": {**versions(), "commit": commit(), "source_sha256": _own_source()},
        "machine": machine(),
        "config": config,
        "config_sha256": hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest(),
        "samples": {sample.sample: describe_inputs(sample) for sample in run.samples},
        "jobs": list(jobs(run.results / "benchmarks")),
        "models": [_model(path, run.results) for path in run.models],
        "volumes": [_volume(path, run.results, kept=path not in run.passing) for path in run.volumes],
        "tables": {str(path.relative_to(run.results)): io.sha256_file(path) for path in run.tables},
        "report": {
            "path": str(run.report.relative_to(run.results)),
            "sha256": io.sha256_file(run.report),
            "pages": {str(path.relative_to(run.results)): io.sha256_file(path) for path in run.pages},
        },
    }


def describe_inputs(sample: Sample) -> dict[str, Any]:
    """The row of the table, and a digest of each folder or file that it names; of a phantom, of what was made."""
    row = sample.model_dump(mode="json", exclude_none=True)
    if sample.source == "phantom":
        return {"row": row, "inputs": {}}
    inputs = {}
    for column in COLUMNS:
        path = getattr(sample, column)
        if path is not None:
            inputs[column] = {"path": path, "sha256": raw_digest([Path(path)])}
    return {"row": row, "inputs": inputs}


def jobs(benchmarks: Path) -> Iterable[dict[str, Any]]:
    """Every job that left a benchmark, those of earlier configurations among them: when it ended, and what it took."""
    for path in sorted(benchmarks.rglob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as stream:
            row = next(csv.DictReader(stream, delimiter="\t"), None)
        if row is None:
            continue
        seconds = _number(row.get("s"))
        ended = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        started = None if seconds is None else _text(ended - timedelta(seconds=seconds))
        yield {
            "job": path.relative_to(benchmarks).with_suffix("").as_posix(),
            "started": started,
            "ended": _text(ended),
            "seconds": seconds,
            "cpu_seconds": _number(row.get("cpu_time")),
            "max_memory_mb": _number(row.get("max_rss")),
        }


def _model(path: Path, results: Path) -> dict[str, Any]:
    description = io.read_json(path)
    if not isinstance(description, dict):
        raise InputError(f"{path}: this is not the description of a model. Make the model again.")
    kept = {key: description[key] for key in _FROM_MODEL if key in description}
    return {"path": str(path.parent.relative_to(results)), **kept}


def _volume(path: Path, results: Path, *, kept: bool) -> dict[str, Any]:
    """Path, digest, and what the prediction itself recorded (the model's digest, warnings).

    Of a volume that is not kept, or was removed since, the digest that its job left beside it, of the same files.
    """
    if not kept or not path.exists():
        beside = io.read_json(path.with_name(path.name.removesuffix(".ome.zarr") + ".digest"))
        return {"path": str(path.relative_to(results)), "kept": False, "units_sha256": beside["sha256"]}
    return {
        "path": str(path.relative_to(results)),
        "kept": True,
        "sha256": raw_digest([path]),
        **io.read_marks(path),
    }


def _own_source() -> str:
    """A digest of every Python file of the package, as it is."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        digest.update(f"{file.relative_to(package).as_posix()}:{io.sha256_file(file)}\n".encode())
    return digest.hexdigest()


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:  # Snakemake writes NA and - where it could not measure
        return None


def _text(time: datetime) -> str:
    return time.isoformat(timespec="seconds")
