"""Models and training states on disk, and the weights of the published code.

- `model_directory`: `generator.safetensors` and `model.json`
- `training_state`: what a killed training needs to go on
- `reference`: published checkpoints into our networks; `reference_layout` knows their names
- `safe`: reading PyTorch files without running anything in them
"""

from txm2sem_core.checkpoint.model_directory import (
    DESCRIPTION_FILE,
    WEIGHTS_FILE,
    LoadedModel,
    load_model,
    save_model,
    save_weights,
)
from txm2sem_core.checkpoint.reference import import_reference_model, import_reference_weights
from txm2sem_core.checkpoint.training_state import (
    load_training_state,
    remove_training_states,
    save_training_state,
    training_state_path,
)

__all__ = [
    "DESCRIPTION_FILE",
    "WEIGHTS_FILE",
    "LoadedModel",
    "import_reference_model",
    "import_reference_weights",
    "load_model",
    "load_training_state",
    "remove_training_states",
    "save_model",
    "save_training_state",
    "save_weights",
    "training_state_path",
]
