"""Measure predictions, and collect the metrics over variants and seeds.

- `patches`: the test patches, one by one
- `volumes`: whole volumes, beside the truth where there is one
- `summary`: the tables over variants and seeds
- `paper_table`: the table beside the published numbers
- `rock`: the pores of a volume, and transport through them
- `intervals`: the rock over trainings, samples and the size of the volume
- `side_tasks`: repair and segmentation
- `uncertainty`: whether the stated uncertainty covers the true error
- `consistency`: whether a volume would show the TXM that was measured
- `laboratory`: the command `txm2sem laboratory`, mercury and a pore network
- `evaluate`: the command `txm2sem evaluate`, for any two images or volumes; `compared`, `evaluate_rock`: its parts
"""

from txm2sem_core.catalogue.metrics import OF_PATCHES as SCORES
from txm2sem_core.config import Run
from txm2sem_core.measure.evaluate import evaluate_files
from txm2sem_core.measure.evaluate_rock import RockOptions
from txm2sem_core.measure.patches import measure_patches
from txm2sem_core.measure.rock import measure_rock, summarise_rock
from txm2sem_core.measure.summary import summarise_metrics
from txm2sem_core.measure.volumes import measure_volume, summarise_volumes

__all__ = [
    "SCORES",
    "RockOptions",
    "Run",
    "evaluate_files",
    "measure_patches",
    "measure_rock",
    "measure_volume",
    "summarise_metrics",
    "summarise_rock",
    "summarise_volumes",
]
