"""Models and training states on disk, and the weights of the published code.

- `model_directory`: `generator.safetensors` and `model.json`
- `start`: which weights of a model another network can start from
- `training_state`: what a killed training needs to go on
- `reference`: published checkpoints into our networks; `reference_layout` knows their names
- `safe`: reading PyTorch files without running anything in them
"""

from txm2sem_core.checkpoint.model_directory import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    LoadedModel,
    load_model,
    load_weights,
    save_model,
    save_weights,
)
from txm2sem_core.checkpoint.reference import import_reference_model, import_reference_weights
from txm2sem_core.checkpoint.start import Fit, fit_weights, shapes_of
from txm2sem_core.checkpoint.training_state import (
    load_training_state,
    remove_training_states,
    save_training_state,
    training_state_path,
)

__all__ = [
    "DESCRIPTION_FILE",
    "WEIGHTS_FILE",
    "Fit",
    "LoadedModel",
    "fit_weights",
    "import_reference_model",
    "import_reference_weights",
    "load_model",
    "load_training_state",
    "load_weights",
    "remove_training_states",
    "save_model",
    "save_training_state",
    "save_weights",
    "shapes_of",
    "training_state_path",
]
