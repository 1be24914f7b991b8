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
from txm2sem_core.acceleration.precision import Compute
from txm2sem_core.runtime.mkl import make_first_calls

make_first_calls()


def accelerate(network: nn.Module, *, training: bool) -> None:
    """Make a network faster, in place; on a GPU, in half precision and compiled the library's layers compute.

    Parameters stay the same objects under the same names in training. Layers are replaced in any network, a user's own
    among them; networks of ours are taken over as a whole (`fast_path`).

    Args:
        network: before its optimiser is built.
        training: the network is trained, or its norms use the statistics of what they are given. Else batch norms are
            made part of the convolutions before them, so that the network can only predict from then on.
    """
    replace_layers(network)
    take_over(network)
    if not training:
        fold_batch_norms(network)


__all__ = ["Compute", "accelerate", "fast_path", "make_first_calls", "path_of"]
