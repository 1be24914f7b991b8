"""Figures of a journal's kind, as pure functions from arrays and a style to a matplotlib `Figure`."""

from __future__ import annotations

from txm2sem_core.plotting.canvas import draw_words, save_figure, size_mm
from txm2sem_core.plotting.charts import Line, Panel, draw_charts
from txm2sem_core.plotting.comparison import draw_comparison
from txm2sem_core.plotting.curves import History, draw_curves
from txm2sem_core.plotting.montage import MontageRow, draw_montage
from txm2sem_core.plotting.phases import PhaseMap, draw_phases
from txm2sem_core.plotting.pore_space import PoreSpace, draw_pore_space
from txm2sem_core.plotting.registration import RegistrationView, checkerboard, draw_registration
from txm2sem_core.plotting.rock import Measured, RockPanel, draw_rock
from txm2sem_core.plotting.sections import VolumeSections, cut_sections, draw_sections
from txm2sem_core.plotting.side_tasks import Column, draw_side_task
from txm2sem_core.plotting.uncertainty import StatedCoverage, UncertaintyView, draw_uncertainty
from txm2sem_core.plotting.volume_planes import FOUND, HELD, REFUSED, PlaneInVolume, VolumeBox, draw_volume_planes

__all__ = [
    "FOUND",
    "HELD",
    "REFUSED",
    "Column",
    "History",
    "Line",
    "Measured",
    "MontageRow",
    "Panel",
    "PhaseMap",
    "PlaneInVolume",
    "PoreSpace",
    "RegistrationView",
    "RockPanel",
    "StatedCoverage",
    "UncertaintyView",
    "VolumeBox",
    "VolumeSections",
    "checkerboard",
    "cut_sections",
    "draw_charts",
    "draw_comparison",
    "draw_curves",
    "draw_montage",
    "draw_phases",
    "draw_pore_space",
    "draw_registration",
    "draw_rock",
    "draw_sections",
    "draw_side_task",
    "draw_uncertainty",
    "draw_volume_planes",
    "draw_words",
    "save_figure",
    "size_mm",
]
