"""Predict SEM images from TXM images.

- `predictor`: one model on a device; `plane_network`: its network, of planes at once, by rows or by tiles;
  `memory_budget`: what they may take
- `ensemble`: several models, or passes with dropout: their mean and standard deviation
- `volumes`: whole volumes; `volume_job`: how one is made, unit by unit; `outputs`: what their voxels are; `streaming`:
  reading, computing and writing at the same time; `unit_builder`: a unit from its slices; `fingerprint`: what a volume
  depends on; `input_checks`, `compatibility`: warnings about the input
- `repair`: repaired SEM slices on disk
- `test_set`: the test patches and slices of a patch store, and the calibration of the uncertainty
"""

from txm2sem_core.inference.ensemble import EnsemblePredictor, load_ensemble, mean_and_deviation
from txm2sem_core.inference.input_checks import input_warnings
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.inference.repair import repair_files, repair_plane
from txm2sem_core.inference.test_set import predict_test, predict_test_with_uncertainty, read_calibration
from txm2sem_core.inference.volume_job import PredictedVolume
from txm2sem_core.inference.volumes import (
    check_volume_output,
    predict_volume,
    predict_volume_with_uncertainty,
)

__all__ = [
    "EnsemblePredictor",
    "PredictedVolume",
    "Predictor",
    "check_volume_output",
    "input_warnings",
    "load_ensemble",
    "mean_and_deviation",
    "predict_test",
    "predict_test_with_uncertainty",
    "predict_volume",
    "predict_volume_with_uncertainty",
    "read_calibration",
    "repair_files",
    "repair_plane",
]
