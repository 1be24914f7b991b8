"""Predict SEM images from TXM images.

- `predictor`: one model on a device, planes at once, by rows or by tiles; `memory_budget`: what they may take
- `spread`: several models, or passes with dropout: their mean and standard deviation
- `volumes`: whole volumes, unit by unit; `answers`: what their voxels are; `streaming`: reading, computing and writing
  at the same time; `identity`: what a volume depends on; `warnings`: what makes it doubtful
- `side_tasks`: repaired SEM slices, and maps of classes
- `testing`: the test patches and slices of a patch store, and the calibration of the uncertainty
"""

from txm2sem_core.inference.predictor import Predictor
from txm2sem_core.inference.side_tasks import (
    ClassPredictor,
    Repairer,
    load_predictor,
    predict_test_classes,
    predict_test_repair,
    repair_files,
)
from txm2sem_core.inference.spread import SpreadPredictor, load_spread_predictor, mean_and_spread
from txm2sem_core.inference.testing import predict_test, predict_test_with_uncertainty, read_calibration
from txm2sem_core.inference.volumes import (
    PredictedVolume,
    check_volume_output,
    predict_volume,
    predict_volume_with_uncertainty,
)
from txm2sem_core.inference.warnings import input_warnings

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
