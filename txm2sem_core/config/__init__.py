"""The one description of every setting: names, units, bounds and defaults.

`load_config` turns the workflow's YAML (already parsed) into a frozen `Config`; `Config.variant(name)` gives one model
variant with the preset's, the family's and the shared `train:` settings filled in. The models are closed: an unknown
key is an error that names the nearest known one.
"""

from txm2sem_core.config.base import Name, Settings
from txm2sem_core.config.checking import validated
from txm2sem_core.config.compute import ComputeSettings
from txm2sem_core.config.families import FamilyRules
from txm2sem_core.config.generators import FILTERS
from txm2sem_core.config.loading import Config, load_config, parse_settings
from txm2sem_core.config.runs import Run, Runs
from txm2sem_core.config.stages import (
    CurtainSettings,
    DownsampleSettings,
    ForestSettings,
    MeasureSettings,
    MilledSettings,
    PatchesSettings,
    PhantomSettings,
    PredictSettings,
    RegisterSettings,
    RockSettings,
    SplitSettings,
    TxmSettings,
    UncertaintySettings,
)
from txm2sem_core.config.train import (
    DiscriminatorSettings,
    GeneratorSettings,
    OptimiserSettings,
    ScheduleSettings,
    TrainSettings,
    ZPenaltySettings,
)

__all__ = [
    "FILTERS",
    "ComputeSettings",
    "Config",
    "CurtainSettings",
    "DiscriminatorSettings",
    "DownsampleSettings",
    "FamilyRules",
    "ForestSettings",
    "GeneratorSettings",
    "MeasureSettings",
    "MilledSettings",
    "Name",
    "OptimiserSettings",
    "PatchesSettings",
    "PhantomSettings",
    "PredictSettings",
    "RegisterSettings",
    "RockSettings",
    "Run",
    "Runs",
    "ScheduleSettings",
    "Settings",
    "SplitSettings",
    "TrainSettings",
    "TxmSettings",
    "UncertaintySettings",
    "ZPenaltySettings",
    "load_config",
    "parse_settings",
    "validated",
]
