"""Predict SEM images from TXM images.

- `predictor`: one model on a device, planes by tiles
- `ensemble`: several models, or passes with dropout: their mean and standard deviation
- `volumes`: whole volumes, unit by unit; `outputs`: what their voxels are; `streaming`: reading, computing and writing
  at the same time; `fingerprint`: what a volume depends on; `input_checks`: what makes it doubtful
- `side_tasks`: repaired SEM slices, and maps of classes
- `test_set`: the test patches and slices of a patch store, and the calibration of the uncertainty
"""

from txm2sem_core.inference.ensemble import SpreadPredictor, load_spread_predictor, mean_and_spread
from txm2sem_core.inference.input_checks import input_warnings
from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.inference.side_tasks import (
    ClassPredictor,
    Repairer,
    load_predictor,
    predict_test_classes,
    predict_test_repair,
    repair_files,
)
from txm2sem_core.inference.test_set import predict_test, predict_test_with_uncertainty, read_calibration
from txm2sem_core.inference.volumes import (
    PredictedVolume,
    check_volume_output,
    predict_volume,
    predict_volume_with_uncertainty,
)

__all__ = [
    "ClassPredictor",
    "PredictedVolume",
    "Predictor",
    "Repairer",
    "SpreadPredictor",
    "check_volume_output",
    "input_warnings",
    "load_predictor",
    "load_spread_predictor",
    "mean_and_spread",
    "predict_test",
    "predict_test_classes",
    "predict_test_repair",
    "predict_test_with_uncertainty",
    "predict_volume",
    "predict_volume_with_uncertainty",
    "read_calibration",
    "repair_files",
]
