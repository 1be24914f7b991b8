"""Inputs of the report from the workflow: each sample's results, and the settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from txm2sem_core.catalogue.figures import figure_names
from txm2sem_core.catalogue.tables import table_files
from txm2sem_core.config import Config
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.report.page import PAGE, page_of
from txm2sem_core.samples.files import SampleFiles

# of how the run was made, or looks, or what was kept of it
NOT_SHOWN: dict[str, bool | set[str]] = {
    **dict.fromkeys(("device", "memory_gib", "tensorboard", "tiff_volumes", "figures"), True),
    "predict": {"keep"},
}


def samples_text(samples: Iterable[SampleFiles], style: FigureSettings) -> str:
    """What the report needs to know of each sample, as canonical JSON, which `parse_samples` reads."""
    return json.dumps([_description(here, style) for here in samples], sort_keys=True)


def _description(here: SampleFiles, style: FigureSettings) -> dict[str, Any]:
    shown = here.runs.shown if here.has_volume else ()
    return {
        "name": here.name,
        "source": here.sample.source,
        "finer": here.sample.finer(),
        "folder": here.folder,
        "figures": [f"{here.folder}/figures/{name}.png" for name in figure_names(here, style)],
        "volumes": [{"variant": run.label, "path": here.volume(run.folder)} for run in shown],
        "txm_volume": here.txm_volume,
        "txm_volume_measured": here.sample.txm_volume_measured,
        "truth": here.truth or None,
        "tables": [Path(file).name for file in report_tables(here)],
        "left_out": list(here.config.leave_out),
        "sampling": list(dict.fromkeys(run.variant for run in here.runs.sampled)),
        "flow_axis": here.config.measure.rock.axes[0],
    }


def report_pages(config: Config, samples: Iterable[SampleFiles]) -> list[str]:
    """The pages of the samples, where there are several: of one, the report is the page."""
    names = [here.name for here in samples]
    return [str(page_of(Path(config.results_dir, PAGE), name, len(names))) for name in names] if len(names) > 1 else []


def report_tables(here: SampleFiles) -> list[str]:
    """The tables of a sample that the report reads."""
    return [file for file in table_files(here) if file.endswith(".csv")]


def settings_text(config: Config, of_sample: Mapping[str, Config]) -> str:
    """The settings as the report shows them, in YAML, without those that are only of how it ran or looks.

    Args:
        config: of what is common to the samples.
        of_sample: the same of each sample, with its own context.
    """
    shown = config.model_dump(mode="json", by_alias=True, exclude=NOT_SHOWN)
    if len({own.patches.context for own in of_sample.values()}) > 1:
        del shown["patches"]["context"]  # of each sample its own, as `auto` says
    return yaml.safe_dump(shown, sort_keys=True, allow_unicode=True)
