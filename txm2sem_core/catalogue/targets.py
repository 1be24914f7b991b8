"""The files that a run is asked for."""

from __future__ import annotations

from txm2sem_core.catalogue.figures import figure_names
from txm2sem_core.catalogue.tables import table_files
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.samples.files import SampleFiles


def _model_files(here: SampleFiles) -> list[str]:
    """The weights of every model of a sample."""
    return here.models(here.runs.single + here.runs.side_tasks, "generator.safetensors")


def _volume_files(here: SampleFiles) -> list[str]:
    """Every predicted volume of a sample that stays, with all as TIFF where that is wanted."""
    passing = set(here.volumes(here.runs.passing))
    files = []
    for volume in here.volumes(here.runs.measured):
        files += [] if volume in passing else [volume]
        files += [_tiff(volume)] if here.config.tiff_volumes else []
    if here.config.tiff_volumes:
        files += [_tiff(volume, "_uncertainty") for volume in here.volumes(here.runs.uncertain)]
    return files


def _tiff(volume: str, suffix: str = "") -> str:
    return volume.removesuffix(".ome.zarr") + f"{suffix}.tif"


def suffixes(style: FigureSettings) -> list[str]:
    """Of a figure's files, the report's first."""
    return [f".{name}" for name in sorted(style.common.formats, key=lambda name: name != "png")]


def _figure_files(here: SampleFiles, style: FigureSettings) -> list[str]:
    """Every figure of a sample in every format."""
    return [f"{here.folder}/figures/{name}{suffix}" for name in figure_names(here, style) for suffix in suffixes(style)]


def sample_targets(here: SampleFiles, style: FigureSettings) -> dict[str, list[str]]:
    """The files of a sample by target of the workflow."""
    return {
        "models": _model_files(here),
        "volumes": _volume_files(here),
        "metrics": table_files(here),
        "figures": _figure_files(here, style),
    }
