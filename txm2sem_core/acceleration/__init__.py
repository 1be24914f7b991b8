"""Faster computation of networks: the only place that adapts layers to a processor.

`accelerate` is called by the trainer and the predictor, unless `compute.accelerate` is false. Results differ from those
of the plain networks by rounding alone.
"""

from __future__ import annotations

from torch import nn

from txm2sem_core.acceleration import resnet, srresnet, unet  # noqa: F401  # they register what takes over a network
from txm2sem_core.acceleration.batch_norm import fold_batch_norms
from txm2sem_core.acceleration.fast_paths import fast_path, path_of, take_over
from txm2sem_core.acceleration.layers import replace_layers
from txm2sem_core.acceleration.precision import Accelerator
from txm2sem_core.runtime.mkl import make_first_calls

make_first_calls()


def accelerate(network: nn.Module, *, training: bool) -> None:
    """Make a network faster, in place. On a GPU, in half precision and when compiled, PyTorch's own layers compute.

    In training, parameters stay the same objects under the same names. Layers are replaced in any network, also in a
    user's own; our own networks are computed as a whole by a fast path (`fast_path`).

    Args:
        network: before its optimiser is built.
        training: the network is trained, or its norms use the statistics of their input. Otherwise batch norms are
            folded into the convolutions before them, and the network can only predict from then on.
    """
    replace_layers(network)
    take_over(network)
    if not training:
        fold_batch_norms(network)


__all__ = ["Accelerator", "accelerate", "fast_path", "make_first_calls", "path_of"]
