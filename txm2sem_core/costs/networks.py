"""What a training step keeps in memory, and how long steps and predictions take, by trying them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from txm2sem_core.acceleration import accelerate
from txm2sem_core.config import TrainSettings
from txm2sem_core.config.generators import FILTERS, TAKES
from txm2sem_core.costs.trial import COPIES, NetworkCost, NetworkSpeed
from txm2sem_core.families import Batch, Family, Learner, family_of
from txm2sem_core.io.units import padded_length
from txm2sem_core.networks import inference

TRIED_WIDTH = 8  # what is kept grows with the width, and weights with its square
TRIED_BATCH = 2
TRIES = 2
ENOUGH_S = 0.5  # of one try
PLANE_PX = 256
TRIED_PX = 64  # of a patch, where the network takes it; what is kept grows with its area


def network_cost(settings: TrainSettings, size_px: int, scans: int = 1) -> NetworkCost:
    """Count by one step, and one prediction, of thinner networks on two small patches.

    Args:
        settings: of the variant; not of a baseline.
        size_px: side of a FIB-SEM patch.
        scans: of the rock, that there are.
    """
    thin = _thinner(settings)
    side = _smaller_side(settings, size_px)
    family, learner = _learner(thin, scans)
    kept = _LiveBytes()
    with torch.autograd.graph.saved_tensors_hooks(kept.pack, kept.unpack):
        learner.step(random_batch(family, side, TRIED_BATCH))
    networks = [each for each in (learner.generator, learner.discriminator) if each is not None]
    weights = sum(parameter.nbytes for network in networks for parameter in network.parameters())
    step, prediction = _operations(thin, side, scans)
    wider = settings.generator.width / thin.generator.width
    pixels = settings.batch_size / TRIED_BATCH * (size_px / side) ** 2
    return NetworkCost(
        weights=COPIES * weights * wider**2,
        activations=kept.most * wider * pixels,
        step_flops=step * wider**2 * pixels,
        voxel_flops=prediction * wider**2 / side**2,
    )


def _learner(thin: TrainSettings, scans: int) -> tuple[Family, Learner]:
    family = family_of(thin, scans)
    return family, family.learner(0, torch.device("cpu"))


def _operations(thin: TrainSettings, side: int, scans: int) -> tuple[float, float]:
    """Of one step and of one predicted patch, by PyTorch's own layers: kernels for a processor count otherwise."""
    plain = thin.model_copy(update={"compute": thin.compute.model_copy(update={"accelerate": False})})
    family, learner = _learner(plain, scans)
    step, prediction = _Operations(), _Operations()
    with step:
        learner.step(random_batch(family, side, TRIED_BATCH))
    given = torch.rand((1, family.in_channels, side // thin.factor, side // thin.factor))
    with torch.no_grad(), prediction:
        family.predict(learner.generator, given)
    return step.count, prediction.count


def _smaller_side(settings: TrainSettings, size_px: int) -> int:
    """Side of a patch that the variant's networks take, and that takes less time than a larger one."""
    takes = TAKES.get(settings.generator.name)
    if takes is None or size_px <= TRIED_PX:
        return size_px
    least = max(math.lcm(takes.multiple, takes.minimum) * settings.factor, TRIED_PX)
    return least if size_px % least == 0 else size_px


def _thinner(settings: TrainSettings) -> TrainSettings:
    """The same variant with fewer channels in all of its networks alike."""
    if settings.generator.name in FILTERS:  # of a single layer, whatever its width
        return settings
    width = min(settings.generator.width, TRIED_WIDTH)
    judging = max(round(settings.discriminator.width * width / settings.generator.width), 1)
    return settings.model_copy(
        update={
            "generator": settings.generator.model_copy(update={"width": width}),
            "discriminator": settings.discriminator.model_copy(update={"width": judging}),
        }
    )


def random_batch(family: Family, size_px: int, patches: int) -> Batch:
    """A batch of noise, as the family's training gets it."""
    settings = family.settings
    random = torch.Generator().manual_seed(0)
    coarse = size_px // settings.factor

    def noise(channels: int, side: int) -> Tensor:
        return torch.rand((patches, channels, side, side), generator=random) * 2 - 1

    slices = family.scans * (2 * settings.context + 1)
    given = slices if family.rules.samples else family.in_channels
    whole = torch.ones((patches, 1, size_px, size_px))
    classes = torch.randint(0, max(len(family.classes), 1), whole.shape, generator=random).to(torch.uint8)
    return Batch(
        noise(given, coarse), noise(1, size_px), whole, noise(slices + 1, coarse), classes if family.classes else None
    )


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts floating-point operations, also of gradients of gradients, which PyTorch's own counter refuses."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0.0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if (counted := flop_registry.get(func.overloadpacket)) is not None:
            self.count += counted(*args, **(kwargs or {}), out_val=made)
        return made


class _LiveBytes:
    """Counts the bytes of tensors that autograd keeps, each storage once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._held: dict[int, int] = {}

    def pack(self, tensor: Tensor) -> _Held:
        return _Held(self, tensor)

    def unpack(self, held: _Held) -> Tensor:
        return held.tensor

    def add(self, tensor: Tensor) -> None:
        key = tensor.untyped_storage().data_ptr()
        if self._held.get(key, 0) == 0:
            self.now += tensor.untyped_storage().nbytes()
            self.most = max(self.most, self.now)
        self._held[key] = self._held.get(key, 0) + 1

    def remove(self, tensor: Tensor) -> None:
        key = tensor.untyped_storage().data_ptr()
        self._held[key] -= 1
        if self._held[key] == 0:
            self.now -= tensor.untyped_storage().nbytes()


class _Held:
    """A tensor that autograd keeps, until the graph is gone."""

    def __init__(self, counter: _LiveBytes, tensor: Tensor) -> None:
        self.counter, self.tensor = counter, tensor
        counter.add(tensor)

    def __del__(self) -> None:
        self.counter.remove(self.tensor)


def tried_speed(settings: TrainSettings, size_px: int, device: torch.device) -> NetworkSpeed:
    """Take steps and predict a plane by networks of the true size, and time the fastest of a few tries.

    On a processor, where one step may take minutes, fewer and smaller patches stand for a batch: larger ones are tried
    as long as a step takes less than a fraction of a second.

    Args:
        settings: of the variant; not of a baseline.
        size_px: side of a FIB-SEM patch.
        device: that will compute.
    """
    family = family_of(settings)
    learner = family.learner(0, device)
    side, patches = size_px, settings.batch_size
    if device.type != "cuda":
        side, patches = _smaller_side(settings, size_px), min(settings.batch_size, TRIED_BATCH)
    while True:
        batch = random_batch(family, side, patches)
        seconds = _fastest(partial(learner.step, batch), device)
        if seconds > ENOUGH_S or side == size_px:
            break
        side = min(2 * side, size_px)
    step = seconds * settings.batch_size / patches * (size_px / side) ** 2
    return NetworkSpeed(step, _voxel_seconds(family, learner, device))


def _voxel_seconds(family: Family, learner: Learner, device: torch.device) -> float:
    """Of a plane with as many TXM pixels as a tile; of fewer where that takes long."""
    network = learner.generator
    if family.settings.compute.accelerate:
        accelerate(network, training=False)
    for least in (TRIED_PX, PLANE_PX):
        side = padded_length(least, network.size_multiple, network.minimum_size)
        given = torch.rand((1, family.in_channels, side, side), device=device)
        with inference(network, family.settings.inference_mode), torch.inference_mode():
            seconds = _fastest(partial(family.predict, network, given), device)
        if seconds > ENOUGH_S:
            break
    return seconds / (side * family.settings.factor) ** 2


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest try, after one that is not counted; of the first where that takes long.

    On a processor those of the process, which other programs do not prolong.
    """
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    found: list[float] = []
    while len(found) <= TRIES and (not found or found[0] < ENOUGH_S):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(clock() - start)
    return min(found[1:] or found)
