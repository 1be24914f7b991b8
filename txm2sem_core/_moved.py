"""Modules by the names that they had in version 0.1: scripts of users that import them work for one more version."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

PACKAGE = __package__
MOVED = {
    "acceleration.first_calls": "runtime.mkl",
    "allocator": "runtime.allocator",
    "degradation": "patches.downsample",
    "device": "runtime.device",
    "doctor": "commands.doctor",
    "doubts": "samples.warnings",
    "duplicates": "patches.duplicates",
    "evaluation": "measure.evaluate",
    "failures": "report.failures",
    "feasibility": "samples.feasibility",
    "field_of_view": "io.field_of_view",
    "figure_settings": "config.figures",
    "gaps": "metrics.gaps",
    "inference.answers": "inference.outputs",
    "inference.foreign": "inference.compatibility",
    "inference.growing": "inference.unit_builder",
    "inference.identity": "inference.fingerprint",
    "inference.side_by_side": "inference.parallel",
    "inference.spread": "inference.ensemble",
    "inference.testing": "inference.test_set",
    "inference.warnings": "inference.input_checks",
    "io.readers.side_by_side": "io.readers.contiguous",
    "losses": "families.losses",
    "measured": "intensity.measured",
    "memory": "runtime.out_of_memory",
    "metrics.cells": "metrics.pores.cells",
    "metrics.chords": "metrics.pores.chords",
    "metrics.connectivity": "metrics.pores.connectivity",
    "metrics.crossings": "metrics.pores.crossings",
    "metrics.diffusivity": "metrics.pores.diffusivity",
    "metrics.local_thickness": "metrics.pores.local_thickness",
    "metrics.permeability": "metrics.pores.permeability",
    "metrics.pore_meter": "metrics.pores.streaming",
    "metrics.pore_space": "metrics.pores.geometry",
    "metrics.rock": "metrics.pores.phases",
    "metrics.rock_figures": "metrics.pores.summary",
    "metrics.stokes": "metrics.pores.stokes",
    "metrics.two_point": "metrics.pores.two_point",
    "numerals": "metrics.numerals",
    "options": "commands.options",
    "pixel_checks": "samples.pixel_checks",
    "planning": "commands.plan",
    "preflight": "samples.preflight",
    "progress": "runtime.progress",
    "raw_pairs": "samples.raw_pairs",
    "reporting": "report",
    "reporting.cautions": "report.warnings",
    "reporting.gather": "report.gather",
    "reporting.stated": "report.stated",
    "reporting.tables": "report.tables",
    "reporting.volumes": "report.volumes",
    "reproduction": "commands.compare",
    "rock_measures": "measure.rock",
    "score_tables": "measure.paper_table",
    "segmentation": "phases",
    "segmentation.forest": "phases.forest",
    "segmentation.labels": "phases.labels",
    "segmentation.segmenter": "phases.segmenter",
    "side_measures": "measure.side_tasks",
    "side_tasks": "families.repair",
    "slice_place": "samples.slice_position",
    "splits": "samples.splits",
    "startup": "runtime.garbage",
    "stated_sizes": "samples.stated_sizes",
    "tiling": "inference.tiling",
    "training.neighbours": "training.slice_stacks",
    "training.steps": "families.learner",
    "training.selection": "families.scores",
    "training.adam": "acceleration.adam",
    "training.average": "families.average",
    "inference.side_tasks": "inference.repair",
    "uncertainty": "measure.uncertainty",
    "viewer": "report.page",
    "viewer.answer": "report.page.verdict",
    "viewer.data": "report.page.data",
    "viewer.embedding": "report.page.embedding",
    "viewer.page": "report.page.page",
    "viewer.words": "report.page.numbers",
    "zpenalty": "families.z_penalty",
}


class Moved(MetaPathFinder, Loader):
    """Import the module under its new name, and say so."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """A specification for the old name of a module that was moved; None for all others."""
        old = fullname.removeprefix(f"{PACKAGE}.")
        return ModuleSpec(fullname, self, is_package=True) if old != fullname and old in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, as it stands under its new name."""
        new = f"{PACKAGE}.{MOVED[spec.name.removeprefix(f'{PACKAGE}.')]}"
        warnings.warn(f"{spec.name} is {new} now; the old name goes with version 0.3", FutureWarning, stacklevel=2)
        module = importlib.import_module(new)
        self._own = module.__spec__, module.__loader__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing: it ran under its new name, whose specification it keeps."""
        module.__spec__, module.__loader__ = self._own
