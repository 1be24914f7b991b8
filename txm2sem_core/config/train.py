"""Settings of one model variant: networks, objective, penalties, optimiser, schedule."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from txm2sem_core.config.base import (
    Factor,
    Fraction,
    ModelPath,
    NonNegative,
    Positive,
    PositiveInt,
    Settings,
    Text,
    Width,
    setting,
)
from txm2sem_core.config.compute import ComputeSettings
from txm2sem_core.config.families import FamilyRules, built_in, rules_of, unknown_family
from txm2sem_core.config.generators import BUILT_IN, FILTERS
from txm2sem_core.errors import ConfigError

BY_PORES = ("best_porosity", "best_two_point")  # values of `select` that need the pores of the validation patches
PORE_PHASES = 4  # for them: pore, organic matter, mineral, heavy mineral; phase 0 is the darkest
WITHOUT_DROPOUT = ("unet_32", *FILTERS)  # networks where `dropout` finds no place


class GeneratorSettings(Settings):
    """The network that translates TXM to SEM."""

    name: Text = setting("resnet_9blocks", "the network; see below")
    width: Width = setting(64, "channels of the first layer")
    norm: Literal["batch", "instance", "none"] = setting("batch", "normalisation of its layers")
    dropout: bool = setting(False, "whether it has layers of dropout")
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = setting(
        "normal", "distribution of the first weights; `residual_unet` has its own"
    )
    init_gain: Positive = setting(0.02, "scale of the first weights")

    @property
    def drops(self) -> bool:
        """Whether the network has layers of dropout."""
        return self.dropout and self.name not in WITHOUT_DROPOUT


class DiscriminatorSettings(Settings):
    """The network that tells predicted from real SEM patches, of families that have one."""

    name: Literal["basic", "n_layers", "pixel"] = setting("basic", "`basic`: the 70 x 70 PatchGAN")
    width: Width = setting(64, "channels of the first layer")
    layers: Annotated[int, Field(ge=1, le=6)] = setting(3, "of `n_layers`")
    norm: Literal["batch", "instance", "none"] = setting("batch", "normalisation of its layers")
    spectral_norm: bool = setting(False, "of each convolution's weights (Miyato et al. 2018)")
    conditional: bool = setting(True, "sees the TXM patch as well")
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = setting("normal", "as the generator's")
    init_gain: Positive = setting(0.02, "as the generator's")


class ZPenaltySettings(Settings):
    """The penalties that keep predictions continuous along z: the weight of each, 0 = off. They add up."""

    projection: NonNegative = setting(
        0.0, "weight of the published penalty, at every step; 0 = off; the penalties add up"
    )
    perturbation: NonNegative = setting(0.0, "weight of the penalty by a random perturbation; 0 = off")
    stack: NonNegative = setting(0.0, "weight of the penalty on slices of the sample's TXM volume; 0 = off")
    reduction: Literal["mean", "sum"] = setting("mean", "over output pixels; `sum` is the published one")
    every: PositiveInt = setting(
        4, "`perturbation` and `stack` come at every so many steps, with so many times the weight"
    )

    @property
    def weights(self) -> dict[str, float]:
        """Those that are on."""
        each = {"projection": self.projection, "perturbation": self.perturbation, "stack": self.stack}
        return {name: weight for name, weight in each.items() if weight > 0}


class FlowSettings(Settings):
    """How samples are drawn, of the family `flow`."""

    steps: Annotated[int, Field(ge=1, le=100)] = setting(
        3,
        "of the integration from noise to image, two passes of the network each; of volumes only where "
        "`predict.guided_steps` is 0",
    )


class OptimiserSettings(Settings):
    """Adam."""

    learning_rate: Positive = setting(2e-4, "of Adam")
    beta1: Annotated[float, Field(ge=0, lt=1)] = setting(0.5, "of Adam")
    weight_decay: NonNegative = setting(0.0, "of the generator's weights")
    longest_gradient: NonNegative = setting(
        0.0,
        "norm to which a longer gradient of the generator is shortened, so that one bad step does not undo a training; "
        "0 = off",
    )


class ScheduleSettings(Settings):
    """Epochs, and the learning rate over them."""

    policy: Literal["linear", "step", "plateau", "cosine", "constant"] = setting(
        "linear", "the learning rate over the epochs"
    )
    epochs: PositiveInt = setting(100, "at the full learning rate (`linear`), or in all")
    decay_epochs: Annotated[int, Field(ge=0)] = setting(100, "of `linear`: further epochs in which the rate falls to 0")
    step_epochs: PositiveInt = setting(50, "of `step`: the rate falls to a tenth every so many")

    @property
    def total_epochs(self) -> int:
        """Epochs in all."""
        return self.epochs + (self.decay_epochs if self.policy == "linear" else 0)


Selection = Literal["last", "best_psnr", "best_ssim", "best_porosity", "best_two_point"]
SAME_SIZE = {name for name in BUILT_IN if not name.startswith("sr_")}  # the output is as large as the input


class TrainSettings(Settings):
    """One model variant, complete: everything that decides its weights, save the seed and the patches."""

    family: Text = Field(
        description="kind of model; `baseline` is fitted, not trained; the side tasks `repair` (of charged SEM) and "
        "`segmentation` (into low and high density)"
    )
    factor: Factor = setting(
        1, "super-resolution factor (`srcnn`, `srgan`, baselines): TXM pixels are so many times as large as the SEM's"
    )
    context: Annotated[int, Field(ge=0, le=3)] = setting(
        0,
        "TXM slices below and above as further channels; `auto`: 2, or fewer where pairs stand closer"
        " than 5 slices, so that none is lost where splits meet, or 0 where the sample does not say "
        "where its pairs stand in a TXM volume; of each sample by itself",
    )
    generator: GeneratorSettings = GeneratorSettings()
    init_from: ModelPath | None = setting(
        None,
        "folder of a model whose weights the training starts from, where names and shapes agree "
        "([how](../docs/guides/start-from-a-model.md)); a model of the same run may be named, too",
        shown="none",
    )
    freeze: tuple[Text, ...] = setting(
        (), "layers that keep the weights of `init_from`, as `[first_conv, down_convs]` or `[blocks.0]`"
    )
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    repair_from: Literal["txm_and_sem", "sem"] = setting("txm_and_sem", "what `repair` sees beside the mask")
    damage: tuple[Fraction, Fraction] = setting(
        (0.25, 0.75), "of `repair`: least and greatest share of a training patch that is damaged"
    )
    segment_from: Literal["txm", "sem"] = setting("txm", "what `segmentation` sees")
    objective: Literal["vanilla", "lsgan", "wgangp"] = setting("vanilla", "the adversarial loss")
    gradient_penalty_weight: NonNegative = setting(10.0, "of `wgangp`")
    critic_steps: PositiveInt = setting(1, "discriminator steps a generator step")
    r1_weight: NonNegative = setting(0.0, "of the R1 penalty on the discriminator (Mescheder et al. 2018); 0 = off")
    pixel_loss: Literal["L1", "L2"] = setting("L1", "absolute or squared difference")
    pixel_weight: NonNegative = setting(1.0, "of the pixel loss")
    pixel_shift_px: Annotated[int, Field(ge=0, le=4)] = setting(
        0,
        "pixel loss where each window of the FIB-SEM patch fits best, shifted by at most so many pixels: for pairs "
        "that do not lie on each other everywhere "
        "([when](../docs/guides/your-own-data.md#pairs-that-do-not-fit-everywhere)); "
        "0 = off",
    )
    pixel_window_px: Annotated[int, Field(ge=8, le=512)] = setting(32, "side of these windows")
    mask_loss: bool = setting(True, "charged pixels do not count in the pixel loss")
    z_penalty: ZPenaltySettings = ZPenaltySettings()
    flow: FlowSettings = FlowSettings()
    denoise: NonNegative = setting(
        0.0,
        "strength with which noise is removed from the training FIB-SEM slices, by non-local means and a total "
        "variation; 0 = off; 0.8 is that of `flow`, since a sample would show the noise as rock",
    )
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    batch_size: PositiveInt = setting(4, "patches a step")
    flips: bool = setting(True, "mirror pairs at random")
    turns: bool = setting(True, "turn pairs by quarter turns at random")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = setting(
        0.0, "keep the generator's weights averaged over its steps, 0.999 as an example; 0 = off"
    )
    compute: ComputeSettings = ComputeSettings()
    loss_limit: Positive = setting(1e6, "a loss term beyond it, either way, stops the training")
    select: Selection = setting(
        "best_psnr", "weights that are kept: of the last epoch, or of the one with the best validation patches"
    )
    inference_mode: Literal["evaluation", "batch_statistics"] = setting(
        "evaluation", "`batch_statistics`, with dropout, is the published one"
    )

    @property
    def rules(self) -> FamilyRules:
        """Those of its family."""
        found = rules_of(self.family)
        if found is None:
            raise ConfigError(f"family: {unknown_family(self.family, built_in())}")
        return found

    @field_validator("family")
    @classmethod
    def _is_known(cls, family: str) -> str:
        if rules_of(family) is None:
            raise ValueError(f"{unknown_family(family, built_in())} Your own needs its file, by --plugin or plugins")
        return family

    @model_validator(mode="after")
    def _belongs_together(self) -> TrainSettings:
        family = self.rules
        if family.enlarges and self.factor == 1:
            raise ValueError(f"factor must be 2, 4 or 8 for family {self.family}; it is 1")
        if family.enlarges is False and self.factor != 1:
            enlarging = " or ".join(name for name, rules in built_in().items() if rules.enlarges)
            raise ValueError(f"factor must be 1 for family {self.family}; use {enlarging} for factor {self.factor}")
        if not family.translates and (self.context or self.z_penalty.weights):
            raise ValueError(f"context and z_penalty must be 0 for family {self.family}, which sees one slice")
        if self.z_penalty.weights and not family.penalised:
            raise ValueError(f"z_penalty must be 0 for family {self.family}, which has no use for it")
        if not 0 < self.damage[0] < self.damage[1] <= 1:
            raise ValueError(f"damage must be 0 < least < greatest <= 1, not {self.damage[0]}, {self.damage[1]}")
        if self.pixel_shift_px and not (family.translates and family.trained):
            raise ValueError(f"pixel_shift_px must be 0 for family {self.family}, which has no pixel loss to shift")
        if self.init_from is not None and not family.trained:
            raise ValueError(f"init_from must be left out for family {self.family}, which is fitted and not trained")
        if self.freeze and self.init_from is None:
            raise ValueError("freeze needs init_from: weights that were drawn at random are worth nothing as they are")
        if family.enlarges and self.generator.name in SAME_SIZE:
            raise ValueError(f"generator.name must be a sr_resnet for family {self.family}, not {self.generator.name}")
        return self
