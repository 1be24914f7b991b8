"""What a folder of results says of its samples to whoever reads it later, without the configuration of the run."""

from __future__ import annotations

from pathlib import Path

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.io import Volume
from txm2sem_core.io.results import MARK


def sample_folders(folder: Path) -> list[Path]:
    """The folders of samples: this one, or those in it where it is a folder of results of ours; none otherwise."""
    if not folder.is_dir():
        return []
    if (folder / MARK).is_file():
        return [one for one in sorted(folder.iterdir()) if _is_sample(one)]
    return [folder] if (folder.parent / MARK).is_file() and _is_sample(folder) else []


def _is_sample(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in ("raw", "registered", "volumes"))


def measured_txm(sample: Path) -> Volume | None:
    """The TXM volume on the results' grid: a phantom's, or that which the run's record names, if it is still there."""
    row = _row(sample)
    made = sample / "raw/txm_volume"
    path = str(made) if made.is_dir() else row.get("txm_volume")
    if path is None:
        return None
    try:
        volume = io.open_volume(io.finer_path(path, int(row.get("super_resolution") or 1)))
        return io.with_mask(volume, row.get("txm_volume_measured"))
    except InputError:
        return None


def _row(sample: Path) -> dict[str, str | None]:
    """The sample's row of the table by the record of the run; nothing where there is none yet."""
    try:
        return dict(io.read_json(sample.parent / "provenance.json")["samples"][sample.name]["row"])
    except (InputError, KeyError, TypeError):
        return {}
