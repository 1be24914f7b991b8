"""Draw the figures of a sample from its results, one function a figure, in every format that the style asks for.

- `pictures`: patches, sections, trainings, scores, registration
- `charts`: power spectra and resolution, distributions of the rock
- `rock`: maps of the phases, and the pores in three dimensions
"""

from txm2sem_core.figures.charts import distributions_figure, spectra_figure
from txm2sem_core.figures.pictures import (
    PredictedPatches,
    comparison_figure,
    curves_figure,
    montage_figure,
    registration_figure,
    repair_figure,
    sections_figure,
    segmentation_figure,
    uncertainty_figure,
)
from txm2sem_core.figures.rock import ShownVolume, phases_figure, pore_space_figure

__all__ = [
    "PredictedPatches",
    "ShownVolume",
    "comparison_figure",
    "curves_figure",
    "distributions_figure",
    "montage_figure",
    "phases_figure",
    "pore_space_figure",
    "registration_figure",
    "repair_figure",
    "sections_figure",
    "segmentation_figure",
    "spectra_figure",
    "uncertainty_figure",
]
