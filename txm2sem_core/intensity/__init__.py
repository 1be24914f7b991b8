"""Intensities: ranges that are mapped to [-1, 1] and back (`ranges`), and their distributions (`histograms`)."""

from txm2sem_core.intensity.histograms import Histogram, TrainingDistribution, distribution_of
from txm2sem_core.intensity.ranges import (
    DataRangeFit,
    IntensityRange,
    Preparation,
    ScanRanges,
    deviation_to_dtype,
    percentile_range,
    range_of_scans,
    to_dtype,
)

__all__ = [
    "DataRangeFit",
    "Histogram",
    "IntensityRange",
    "Preparation",
    "ScanRanges",
    "TrainingDistribution",
    "deviation_to_dtype",
    "distribution_of",
    "percentile_range",
    "range_of_scans",
    "to_dtype",
]
