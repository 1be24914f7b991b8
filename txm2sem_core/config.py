"""The one description of every setting: names, units, bounds and defaults.

`load_config` turns the workflow's YAML (already parsed) into a frozen `Config`; `Config.variant(name)` gives one model
variant with the preset's, the family's and the shared `train:` settings filled in. The models are closed: an unknown
key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from txm2sem_core.errors import ConfigError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Model = TypeVar("Model", bound=BaseModel)


def _power_of_two(value: int) -> int:
    if value not in (1, 2, 4, 8):
        raise ValueError("a factor is 1, 2, 4 or 8")
    return value


Factor = Annotated[int, AfterValidator(_power_of_two)]
Triple = tuple[Positive, Positive, Positive]


class Settings(BaseModel):
    """Base of every group of settings: closed, and frozen once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def canonical_json(self) -> str:
        """The settings as one string with sorted keys: equal settings give equal strings."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)


class PhantomSettings(Settings):
    """A synthetic shale and its two acquisitions. Fractions are of the whole volume."""

    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 1024, 1024)  # Z, Y, X voxels
    voxel_size_nm: Triple = (32.0, 32.0, 32.0)  # Z, Y, X
    seed: int = 0
    pair_every: PositiveInt = 8  # slices from one FIB-SEM partner to the next
    beam_energy_kev: Positive = 8.0
    max_rotation_deg: NonNegative = 3.0
    max_scale_percent: NonNegative = 2.0
    max_shift_px: NonNegative = 12.0
    psf_fwhm_nm: Triple = (120.0, 90.0, 90.0)  # Z, Y, X
    photons: Positive = 20000.0  # mean detected photons a projection pixel without sample
    sem_electrons: Positive = 300.0  # mean detected electrons a pixel at full scale


class RegisterSettings(Settings):
    """How the FIB-SEM slice (moving) is brought onto the TXM slice (fixed)."""

    transform: Literal["none", "translation", "rigid", "similarity", "affine"] = "similarity"
    median_px: Annotated[int, Field(ge=0, le=15)] = 3  # median filter before the search, 0 or 1 = off
    smooth_px: NonNegative = 1.0  # Gaussian sigma before the search, pixels
    levels: Annotated[int, Field(ge=1, le=6)] = 4  # coarse-to-fine levels, each half the size of the next
    max_rotation_deg: NonNegative = 15.0  # a larger result is refused
    max_scale_percent: NonNegative = 15.0
    max_shift_fraction: Fraction = 0.35  # of the slice's shorter side
    min_overlap: Fraction = 0.5  # share of the TXM slice that the FIB-SEM slice must cover
    min_similarity: NonNegative = 0.02  # normalised mutual information over that of the slices displaced
    max_disagreement_px: Positive = 2.0  # between the whole slice's transform and that of its better half alone
    refused: Literal["exclude", "stop"] = "exclude"  # a pair that fails: leave it out and name it, or stop


class SplitSettings(Settings):
    """Shares of the pairs, by place in z: the first go to training, then validation, then test."""

    train: Fraction = 0.7
    validation: Fraction = 0.15
    test: Fraction = 0.15

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitSettings:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train, validation and test must add up to 1")
        return self


class PatchesSettings(Settings):
    """How pairs are split and cut into patches."""

    size_px: Annotated[int, Field(ge=8)] = 256
    train: PositiveInt = 10000  # training patches, drawn at random; one epoch shows each once
    evaluation: Literal["grid", "random"] = "grid"  # validation and test: side by side, or drawn at random
    evaluation_count: PositiveInt = 100  # at most so many a split; `grid` gives no more than fit
    grid_px: PositiveInt = 4  # positions are multiples of this; each super-resolution factor must divide it
    context: Annotated[int, Field(ge=0, le=3)] = 0  # TXM slices below and above that a patch is cut with
    min_uncharged: Fraction = 0.95  # share of a patch's pixels without charge
    min_nonzero: Fraction = 0.75  # share that is not zero in both images
    percentiles: tuple[float, float] = (0.05, 99.95)  # of training pixels, mapped to -1 and 1
    split: SplitSettings = SplitSettings()
    seed: int = 999

    @model_validator(mode="after")
    def _belongs_together(self) -> PatchesSettings:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must be 0 <= low < high <= 100, not {low}, {high}")
        if self.size_px % self.grid_px:
            raise ValueError(f"size_px must be a multiple of grid_px = {self.grid_px}; it is {self.size_px}")
        return self


class DownsampleSettings(Settings):
    """How TXM slices are made coarser for super-resolution."""

    method: Literal["nearest", "area", "psf"] = "area"
    psf_sigma_px: Positive = 0.5  # of method `psf`: Gaussian, in pixels of the coarse image
    noise_sigma: NonNegative = 0.0  # of method `psf`: Gaussian noise, as a share of the TXM's intensity range
    seed: int = 0


class GeneratorSettings(Settings):
    """The network that translates TXM to SEM."""

    name: str = "resnet_9blocks"
    width: PositiveInt = 64  # channels of the first layer
    norm: Literal["batch", "instance", "none"] = "batch"
    dropout: bool = False
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = "normal"
    init_gain: Positive = 0.02


class DiscriminatorSettings(Settings):
    """The network that tells predicted from real SEM patches (pix2pix, srgan)."""

    name: Literal["basic", "n_layers", "pixel"] = "basic"
    width: PositiveInt = 64
    layers: Annotated[int, Field(ge=1, le=6)] = 3  # only of `n_layers`
    norm: Literal["batch", "instance", "none"] = "batch"
    conditional: bool = True  # sees the TXM patch as well
    init: Literal["normal", "xavier", "kaiming", "orthogonal"] = "normal"
    init_gain: Positive = 0.02


class ZPenaltySettings(Settings):
    """The penalty that keeps predictions continuous along z."""

    method: Literal["none", "projection", "perturbation"] = "none"
    weight: NonNegative = 1e-4
    reduction: Literal["mean", "sum"] = "mean"  # over output pixels; `sum` is the published one


class OptimiserSettings(Settings):
    """Adam."""

    learning_rate: Positive = 2e-4
    beta1: Fraction = 0.5
    weight_decay: NonNegative = 0.0  # of the generator


class ScheduleSettings(Settings):
    """Epochs, and the learning rate over them."""

    policy: Literal["linear", "step", "plateau", "cosine", "constant"] = "linear"
    epochs: PositiveInt = 100  # at the full learning rate (`linear`), or in all
    decay_epochs: Annotated[int, Field(ge=0)] = 100  # of `linear`: further epochs in which the rate falls to 0
    step_epochs: PositiveInt = 50  # of `step`: the rate falls to a tenth every so many

    @property
    def total_epochs(self) -> int:
        """Epochs in all."""
        return self.epochs + (self.decay_epochs if self.policy == "linear" else 0)


Family = Literal["baseline", "feedforward", "pix2pix", "srcnn", "srgan"]
ADVERSARIAL = ("pix2pix", "srgan")
SUPER_RESOLUTION = ("srcnn", "srgan")


class TrainSettings(Settings):
    """One model variant, complete: everything that decides its weights, save the seed and the patches."""

    family: Family
    factor: Factor = 1  # TXM pixels are so many times as large as the SEM's (super-resolution)
    context: Annotated[int, Field(ge=0, le=3)] = 0  # TXM slices below and above, as further input channels
    generator: GeneratorSettings = GeneratorSettings()
    discriminator: DiscriminatorSettings = DiscriminatorSettings()
    objective: Literal["vanilla", "lsgan", "wgangp"] = "vanilla"
    gradient_penalty_weight: NonNegative = 10.0  # of `wgangp`
    critic_steps: PositiveInt = 1  # discriminator steps a generator step
    pixel_loss: Literal["L1", "L2"] = "L1"
    pixel_weight: NonNegative = 1.0
    mask_loss: bool = True  # charged pixels do not count in the pixel loss
    z_penalty: ZPenaltySettings = ZPenaltySettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    batch_size: PositiveInt = 4
    flips: bool = True  # mirror pairs at random
    turns: bool = True  # turn pairs by quarter turns at random
    select: Literal["best_psnr", "best_ssim", "last"] = "best_psnr"  # which epoch's weights are kept
    inference_mode: Literal["evaluation", "batch_statistics"] = "evaluation"

    @model_validator(mode="after")
    def _belongs_together(self) -> TrainSettings:
        if self.family in SUPER_RESOLUTION and self.factor == 1:
            raise ValueError(f"factor must be 2, 4 or 8 for family {self.family}; it is 1")
        if self.family in ("feedforward", "pix2pix") and self.factor != 1:
            raise ValueError(f"factor must be 1 for family {self.family}; use srcnn or srgan for factor {self.factor}")
        if self.family in SUPER_RESOLUTION and not self.generator.name.startswith("sr_"):
            raise ValueError(f"generator.name must be a sr_resnet for family {self.family}, not {self.generator.name}")
        return self


class PredictSettings(Settings):
    """How volumes are predicted and written."""

    tile_px: Annotated[int, Field(ge=0)] = 0  # side of a tile in TXM pixels; 0 = whole planes where they fit
    overlap_px: Annotated[int, Field(ge=0)] = 32  # width over which neighbouring tiles are blended


class MeasureSettings(Settings):
    """What the metrics need to know."""

    data_range: Positive | Literal["auto"] = "auto"  # `auto`: 255 for 8-bit SEM images, else their recorded range
    phases: Annotated[int, Field(ge=2, le=5)] = 4  # classes of the multi-Otsu segmentation of volumes


# What each preset sets, for all variants and by family; `train:` and then the variant's own keys override it.
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "corrected": {
        "all": {},
        "feedforward": {"generator": {"name": "resnet_9blocks"}},
        "pix2pix": {"generator": {"name": "unet_256", "dropout": True}, "pixel_weight": 100.0},
        "srcnn": {"generator": {"name": "sr_resnet_9blocks", "width": 256}},
        "srgan": {
            "generator": {"name": "sr_resnet_9blocks", "width": 256},
            "discriminator": {"conditional": False},
            "pixel_weight": 1000.0,
            "schedule": {"epochs": 50, "decay_epochs": 25},
        },
        "wgangp": {"discriminator": {"norm": "none"}, "critic_steps": 5},
    },
    "paper": {
        "all": {
            "batch_size": 1,
            "turns": False,
            "mask_loss": False,
            "select": "last",
            "inference_mode": "batch_statistics",
            "z_penalty": {"reduction": "sum"},
        },
        "feedforward": {"generator": {"name": "resnet_9blocks"}},
        "pix2pix": {"generator": {"name": "unet_256", "dropout": True}, "pixel_weight": 100.0},
        "srcnn": {"generator": {"name": "sr_resnet_9blocks", "width": 256}},
        "srgan": {
            "generator": {"name": "sr_resnet_9blocks", "width": 256, "dropout": True},
            "discriminator": {"conditional": False},
            "pixel_weight": 1000.0,
            "schedule": {"epochs": 50, "decay_epochs": 25},
        },
        "wgangp": {"gradient_penalty_weight": 0.0, "critic_steps": 1},
    },
}
# What `preset: paper` sets outside the variants.
PAPER_STAGES: dict[str, dict[str, Any]] = {
    "patches": {"evaluation": "random"},
    "downsample": {"method": "nearest"},
}
# Families whose norm, dropout and initialisation the published code fixes, whatever is asked.
PAPER_FIXED = {"norm": "batch", "dropout": False, "init": "normal", "init_gain": 0.02}
PAPER_FIXED_FAMILIES = ("feedforward", "srcnn")


class Config(Settings):
    """The whole configuration of a run, as `config/config.yaml` holds it."""

    preset: Literal["corrected", "paper"] = "corrected"
    samples: str = "config/samples.tsv"  # path of the sample table
    figures: str = "config/figures.yaml"  # path of the figures' style
    results_dir: str = "results"
    title: str = "TXM2SEM"  # of the report
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"  # never causes a rerun
    tiff_volumes: bool = False  # write each predicted volume as a BigTIFF stack too
    tensorboard: bool = False  # write TensorBoard logs beside the training state; never causes a rerun
    phantom: PhantomSettings = PhantomSettings()
    register_: RegisterSettings = Field(default=RegisterSettings(), alias="register")
    patches: PatchesSettings = PatchesSettings()
    downsample: DownsampleSettings = DownsampleSettings()
    train: dict[str, Any] = {}
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    predict: PredictSettings = PredictSettings()
    measure: MeasureSettings = MeasureSettings()

    @model_validator(mode="after")
    def _seeds_differ(self) -> Config:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ from one another, they are {list(self.seeds)}")
        return self

    def variant(self, name: str) -> TrainSettings:
        """The settings of one variant: preset, then family, then `train:`, then its own keys."""
        own = self.variants[name]
        family = str(own.get("family", self.train.get("family")))
        if family == "baseline":
            return _validated(TrainSettings, own, f"variants.{name}")
        preset = PRESETS[self.preset]
        objective = own.get("objective", self.train.get("objective"))
        of_objective = preset["wgangp"] if objective == "wgangp" else {}
        merged = _merge(preset["all"], preset.get(family, {}), of_objective, self.train, own)
        settings = _validated(TrainSettings, merged, f"variants.{name}")
        if self.preset == "paper" and family in PAPER_FIXED_FAMILIES:
            fixed = settings.generator.model_copy(update=PAPER_FIXED)
            settings = settings.model_copy(update={"generator": fixed})
        return settings

    def seeds_of(self, name: str) -> tuple[int, ...]:
        """Baselines are fitted, not trained: one seed is enough for them."""
        return self.seeds[:1] if self.variants[name].get("family") == "baseline" else self.seeds

    @property
    def factors(self) -> tuple[int, ...]:
        """The super-resolution factors that the variants need."""
        return tuple(sorted({self.variant(name).factor for name in self.variants} - {1}))


def load_config(values: Mapping[str, Any], where: str = "the configuration") -> Config:
    """Check a parsed configuration and return it complete.

    Raises:
        ConfigError: names the first wrong key, its value, the rule, and for an unknown key the nearest known one.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: keys and values are needed, this is {type(values).__name__}: {values!r}.")
    values = dict(values)
    for stage, preset in PAPER_STAGES.items() if values.get("preset") == "paper" else ():
        given = values.get(stage, {})
        values[stage] = _merge(preset, given) if isinstance(given, Mapping) else given
    config = _validated(Config, values, "", where)
    _validated(TrainSettings, _merge({"family": "feedforward"}, config.train), "train", where)
    for name in config.variants:
        _check_variant(name, config.variant(name), config.patches)
    return config


def parse_settings(model: type[Model], text: str, **values: Any) -> Model:
    """Check a group of settings given as JSON, with `values` over it.

    Raises:
        ConfigError: not JSON, or a key or value that cannot be used.
    """
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"settings: this is not JSON ({error.msg} at column {error.colno}): {text!r}.") from error
    if not isinstance(given, Mapping):
        raise ConfigError(f"settings: keys and values are needed, this is {type(given).__name__}: {text!r}.")
    return _validated(model, {**given, **values}, "")


def _check_variant(name: str, variant: TrainSettings, patches: PatchesSettings) -> None:
    if patches.size_px % variant.factor or patches.grid_px % variant.factor:
        raise ConfigError(
            f"variants.{name}.factor: {variant.factor} does not divide patches.size_px = {patches.size_px} and "
            f"patches.grid_px = {patches.grid_px}. Choose multiples of {variant.factor} for both."
        )
    if variant.context > patches.context:
        raise ConfigError(
            f"variants.{name}.context: {variant.context} slices are asked for on each side, but patches.context is "
            f"{patches.context}. Raise patches.context to {variant.context}."
        )


def _merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Later layers override earlier ones, key by key, into nested maps."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
                merged[key] = _merge(merged[key], value)
            else:
                merged[key] = value
    return merged


def _validated(model: type[Model], values: Any, prefix: str, where: str = "") -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(error, model, prefix, where)) from error


def _explain(error: ValidationError, model: type[BaseModel], prefix: str, where: str) -> str:
    """The first fault of a validation as one sentence: key, value, rule, remedy."""
    fault = error.errors(include_url=False)[0]
    path = [part for part in fault["loc"] if not (isinstance(part, str) and "[" in part)]
    key = ".".join([prefix] * bool(prefix) + [str(part) for part in path]) or "the whole"
    start = f"{where}: " if where else ""
    if fault["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]!r}?" if near else f"Known keys here: {', '.join(known)}."
        return f"{start}{key}: there is no such key. {remedy}"
    if fault["type"] == "missing":
        return f"{start}{key}: this key is missing. Add it; config/README.md describes it."
    rule = fault["msg"].removeprefix("Value error, ")
    value = "" if isinstance(fault["input"], Mapping) else f" The value is {fault['input']!r}."
    return f"{start}{key}: {rule}.{value} config/README.md describes this key."


def _keys_at(model: type[BaseModel], path: list[Any]) -> list[str]:
    """The keys that a nested group of settings knows."""
    for part in path:
        field = next((f for n, f in model.model_fields.items() if part in (n, f.alias)), None)
        if field is None or not (isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)):
            return []
        model = field.annotation
    return sorted(field.alias or name for name, field in model.model_fields.items())
