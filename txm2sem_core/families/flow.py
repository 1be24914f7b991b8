"""Flow: samples of the FIB-SEM image, as a mean and a flow that turns noise into what the mean leaves open."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from txm2sem_core.acceleration.draws import Draws
from txm2sem_core.config import TrainSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families.base import Family
from txm2sem_core.families.batch import Batch, Images
from txm2sem_core.families.flow_noise import Drawn, draw_patches, fit_flatness, grey_levels, relative_changes
from txm2sem_core.families.learner import Learner
from txm2sem_core.families.losses import pixel_loss
from txm2sem_core.families.registry import register_family
from txm2sem_core.families.shifts import fitted
from txm2sem_core.intensity import IntensityRange
from txm2sem_core.io import PatchStore
from txm2sem_core.io.slice_pairs import forward_model_of
from txm2sem_core.metrics.forward_model import ForwardModel
from txm2sem_core.networks import Flow, ImageGenerator
from txm2sem_core.networks.flow import velocity_input
from txm2sem_core.networks.total_variation import flattened

SCALE_MEMORY = 0.98  # share of the earlier estimate that a step keeps of the residual's scale


@register_family(
    "flow",
    samples=True,
    penalised=False,
    settings={
        "generator": {"name": "residual_unet"},
        "pixel_loss": "L2",
        "ema_decay": 0.998,
        "select": "last",
        "denoise": 0.8,
        "optimiser": {"longest_gradient": 1.0},
    },
)
class FlowFamily(Family):
    """Two networks learn at once: the mean, by its pixel loss, and the velocity, by flow matching on the residual.

    Each has the gradient of its own loss alone. What is validated is the mean.
    """

    extra_channels: ClassVar[int] = 1

    def __init__(self, settings: TrainSettings) -> None:
        super().__init__(settings)
        self._seen: tuple[PatchStore, ForwardModel | None] | None = None

    def generator_arguments(self) -> dict[str, object]:
        """Arguments of `build_generator`; the number of steps makes it a `Flow`."""
        return {**super().generator_arguments(), "flow_steps": self.settings.flow.steps}

    def step(self, learner: Learner, batch: Batch, update_generator: bool) -> dict[str, Tensor]:
        """Take one step; see `Family.step`."""
        network, compute = learner.generator, learner.compute
        assert isinstance(network, Flow)
        txm, sem = compute.batch(batch.txm), compute.batch(batch.sem)
        counted = compute.batch(batch.mask) if self.settings.mask_loss else None
        with compute.precision():
            expected = network.mean(txm)
        expected = expected.float()
        sem, counted = fitted(learner, expected, sem, counted)
        _follow_scale(network, sem - expected.detach(), counted)
        velocity, true_velocity = _velocities(learner, network, (txm, sem, expected.detach()), learner.draws)
        terms = {
            "loss_pixel": self.settings.pixel_weight * pixel_loss(self.settings.pixel_loss, expected, sem, counted),
            "loss_flow": pixel_loss("L2", velocity, true_velocity, counted),
        }
        return learner.update_generator(terms)

    def kind_of_step(self, learner: Learner, update_generator: bool) -> Hashable | None:
        """All steps are of one."""
        return "flow"

    def training_pass(self, learner: Learner, generator: ImageGenerator, batch: Batch, noise: torch.Generator) -> None:
        """Both networks; see `Family.training_pass`."""
        assert isinstance(generator, Flow)
        txm, sem = learner.compute.batch(batch.txm), learner.compute.batch(batch.sem)
        with learner.compute.precision():
            expected = generator.mean(txm)
        _velocities(learner, generator, (txm, sem, expected.float()), Draws(noise, learner.device))

    def alone(self, generator: ImageGenerator, given: Tensor) -> Tensor:
        """The mean, of TXM without noise."""
        assert isinstance(generator, Flow)
        return generator.mean(given)

    def complete(self, generator: ImageGenerator, store: PatchStore) -> None:
        """What samples lack of the training slices, and what the TXM shows of those, by which samples are guided.

        Samples become as flat and have the same grey levels; how much more the slices change is kept.
        """
        assert isinstance(generator, Flow)
        drawn = draw_patches(generator, store, self.settings.context, self.settings.inference_mode)
        finished = partial(_finished, generator, drawn)
        last = finished(fit_flatness(finished, store.voxel_size_nm))
        generator.relative_changes.copy_(torch.from_numpy(relative_changes(last, store.voxel_size_nm)))
        if (model := self._forward_model(store)) is not None:
            _keep_forward_model(generator, model, store)

    def _forward_model(self, store: PatchStore) -> ForwardModel | None:
        """What the TXM shows of the training slices, learnt once for all networks of a training; None: they cannot
        tell.
        """
        if self._seen is None or self._seen[0] is not store:
            try:
                self._seen = store, forward_model_of(store)
            except InputError:
                self._seen = store, None
        return self._seen[1]

    def given(self, images: Images, txm_range: IntensityRange, sem_range: IntensityRange) -> np.ndarray:
        """TXM and noise of a place."""
        if images.noise is None:
            raise ConfigError("a flow predicts from the TXM and noise, and no noise is given. Use a `Predictor`.")
        return np.concatenate([txm_range.to_unit(images.txm), images.noise[None]])


def _keep_forward_model(network: Flow, model: ForwardModel, store: PatchStore) -> None:
    """In the grey levels of the networks."""
    ranges = store.sem_range, store.txm_range
    levels = [each.to_unit(np.array(values)) for each, values in zip(ranges, (model.knots, model.values), strict=True)]
    network.txm_values.copy_(torch.from_numpy(np.stack(levels)))
    network.txm_blur.copy_(torch.tensor(model.sigma_px))
    network.txm_deviation.fill_(2 * model.unit / (store.txm_range.high - store.txm_range.low))


def _finished(network: Flow, drawn: Sequence[Drawn], flatness: float) -> list[Drawn]:
    """Samples as the flow leaves them, flattened and with the grey levels of the patches; the network keeps both."""
    network.flatness.fill_(flatness)
    flat = [each._replace(made=_changed(each.made, flattened, network.flatness)) for each in drawn]
    network.grey_levels.copy_(torch.from_numpy(grey_levels(flat)))
    return [each._replace(made=_changed(each.made, network.mapped)) for each in flat]


def _changed(image: NDArray[np.float32], change: Callable[..., Tensor], *settings: Tensor) -> NDArray[np.float32]:
    changed: NDArray[np.float32] = change(torch.from_numpy(image)[None, None], *settings)[0, 0].numpy()
    return changed


def _velocities(
    learner: Learner, network: Flow, images: tuple[Tensor, Tensor, Tensor], draws: Draws
) -> tuple[Tensor, Tensor]:
    """The velocity of states at times that are drawn, and what it should be; of images TXM, SEM and mean."""
    txm, sem, expected = images
    noise = learner.compute.batch(draws.normal(sem.shape))
    time = draws.uniform((len(sem), 1, 1, 1)).expand_as(sem)
    residual = (sem - expected) / network.residual_scale
    state = (1 - time) * noise + time * residual
    with learner.compute.precision():
        velocity = network.velocity(velocity_input(state, expected, time, txm))
    return velocity.float(), residual - noise


@torch.no_grad()
def _follow_scale(network: Flow, residual: Tensor, counted: Tensor | None) -> None:
    """Let the scale follow the standard deviation of the residuals, which the mean makes smaller as it learns."""
    squares = residual.square()
    mean = squares.mean() if counted is None else (squares * counted).sum() / counted.sum().clamp(min=1)
    network.residual_scale.square_().mul_(SCALE_MEMORY).add_((1 - SCALE_MEMORY) * mean).sqrt_()
