"""Pure metrics of a prediction: images, volumes, continuity along z, rock, and uncertainty.

Every job that trains or predicts imports this package. What is heavy (scipy, scikit-image, pyamg) is therefore imported
by the functions that need it, and by the modules that this page does not name.
"""

from __future__ import annotations

from txm2sem_core.metrics.calibration import UNCALIBRATED, Calibration, Coverage, CoverageMeter, fit_calibration
from txm2sem_core.metrics.continuity import Continuity, SelfContinuity, relative_continuity, self_continuity
from txm2sem_core.metrics.frequency import Correlation, CorrelationMeter, fourier_correlation, radial_power
from txm2sem_core.metrics.image import mae, mse, psnr, psnr_8bit, ssim, ssim_8bit, to_8bit
from txm2sem_core.metrics.neighbours import LineSpectra, NeighbourMeter, Neighbours, neighbours
from txm2sem_core.metrics.otsu import ThresholdFit, fit_thresholds, multi_otsu_thresholds, thresholds_of_slices
from txm2sem_core.metrics.paired import PairedTest, holm, paired_test
from txm2sem_core.metrics.pores.permeability import Permeability, nanodarcy, permeability, solve_permeability
from txm2sem_core.metrics.pores.phases import (
    Segmenter,
    Thresholds,
    confusion,
    dice,
    dice_from_confusion,
    phase_fractions,
    segment,
    two_point_probability,
)
from txm2sem_core.metrics.structure import gmsd, histogram_distance, local_structure, ms_ssim
from txm2sem_core.metrics.summary import Summary, summarise
from txm2sem_core.metrics.volume import compare_volumes, shell_correlation, shell_figures, shell_metrics

__all__ = [
    "UNCALIBRATED",
    "Calibration",
    "Continuity",
    "Correlation",
    "CorrelationMeter",
    "Coverage",
    "CoverageMeter",
    "LineSpectra",
    "NeighbourMeter",
    "Neighbours",
    "PairedTest",
    "Permeability",
    "Segmenter",
    "SelfContinuity",
    "Summary",
    "ThresholdFit",
    "Thresholds",
    "compare_volumes",
    "confusion",
    "dice",
    "dice_from_confusion",
    "fit_calibration",
    "fit_thresholds",
    "fourier_correlation",
    "gmsd",
    "histogram_distance",
    "holm",
    "local_structure",
    "mae",
    "ms_ssim",
    "mse",
    "multi_otsu_thresholds",
    "nanodarcy",
    "neighbours",
    "paired_test",
    "permeability",
    "phase_fractions",
    "psnr",
    "psnr_8bit",
    "radial_power",
    "relative_continuity",
    "segment",
    "self_continuity",
    "shell_correlation",
    "shell_figures",
    "shell_metrics",
    "solve_permeability",
    "ssim",
    "ssim_8bit",
    "summarise",
    "thresholds_of_slices",
    "to_8bit",
    "two_point_probability",
]
