"""Segmentation of volumes into phases: one segmenter for prediction, truth and figures."""

from __future__ import annotations

from txm2sem_core.phases.labels import place_labels
from txm2sem_core.phases.segmenter import fit_segmenter

__all__ = ["fit_segmenter", "place_labels"]
