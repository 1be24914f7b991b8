"""Trained models for other programs: ONNX, TorchScript, packages of the BioImage Model Zoo."""

from __future__ import annotations

from txm2sem_core.export.formats import FORMATS, export_model
from txm2sem_core.export.portable import Portable, portable

__all__ = ["FORMATS", "Portable", "export_model", "portable"]
