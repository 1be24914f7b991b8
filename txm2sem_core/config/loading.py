"""The whole configuration of a run, read and completed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, PrivateAttr, model_validator

from txm2sem_core.config.base import (
    Name,
    NonNegative,
    PluginPath,
    ResultsPath,
    Seed,
    Settings,
    Text,
    UserPath,
    WorkflowPath,
    setting,
)
from txm2sem_core.config.checking import check_bounds, merge, shown, validated
from txm2sem_core.config.families import STAND_IN, FamilyRules, check_family_name, declare_plugins, rules_of
from txm2sem_core.config.fitting import check_networks, check_patches
from txm2sem_core.config.generators import check_generator_name
from txm2sem_core.config.presets import PAPER_FIXED, PAPER_STAGES, PRESETS
from txm2sem_core.config.stages import (
    DownsampleSettings,
    MeasureSettings,
    PatchesSettings,
    PhantomSettings,
    PredictSettings,
    RegisterSettings,
)
from txm2sem_core.config.train import WITHOUT_DROPOUT, TrainSettings
from txm2sem_core.errors import ConfigError

Group = TypeVar("Group", bound=Settings)


class Config(Settings):
    """The whole configuration of a run, as `config/config.yaml` holds it."""

    preset: Literal["corrected", "paper"] = setting(
        "corrected", "`paper`: what the published code did (see below)", reruns="what the preset sets"
    )
    samples: UserPath = setting(
        "config/samples.tsv", "path of the sample table", reruns="the samples whose rows changed"
    )
    figures: UserPath = setting(
        "config/figures.yaml", "path of the figures' style", reruns="the figures whose style changed, and the report"
    )
    results_dir: ResultsPath = setting("results", "where results are written", reruns="everything, in the new place")
    title: Text = setting("TXM2SEM", "of the report", reruns="the report")
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1)] = setting(
        (0,), "each learned variant is trained once with each", reruns="trainings of new seeds, tables, figures"
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = setting("auto", "which device computes", reruns="nothing")
    memory_gib: NonNegative = setting(
        0.0,
        "GiB that a plane may take in a network, on the processor or the GPU; larger planes are computed by rows; "
        "0: 2, or less where less is free ([how](../docs/guides/volumes.md#geometry))",
        reruns="nothing",
    )
    tiff_volumes: bool = setting(
        False, "write each predicted volume as a TIFF stack too (BigTIFF from 4 GB on)", reruns="that export"
    )
    plugins: tuple[PluginPath, ...] = setting(
        (),
        "Python files that register [networks](../docs/guides/your-own-network.md) or "
        "[families](../docs/guides/your-own-family.md) of your own",
        reruns="trainings, predictions and all after them",
    )
    leave_out: tuple[Name, ...] = setting(
        (),
        "names of variants that a run is made without, as where one's training fails; the report says so",
        reruns="tables, figures, report",
    )
    tensorboard: bool = setting(False, "write TensorBoard logs into the models' folders", reruns="nothing")
    container: WorkflowPath = setting(
        "",
        "image that jobs run in with `--sdm apptainer` ([how](../docs/guides/containers.md#each-job-in-it)): a file or "
        "an address that Apptainer knows",
        reruns="the report; everything with `--sdm apptainer`",
    )
    phantom: PhantomSettings = PhantomSettings()
    phantoms: dict[Name, dict[str, Any]] = setting(
        {},
        "where samples are different phantoms: the keys of `phantom` in which each differs, by the sample's name",
        reruns="those phantoms and all after them",
    )
    register_: RegisterSettings = Field(default=RegisterSettings(), alias="register")
    patches: PatchesSettings = PatchesSettings()
    downsample: DownsampleSettings = DownsampleSettings()
    train: dict[str, Any] = Field(default_factory=dict)
    variants: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    predict: PredictSettings = PredictSettings()
    measure: MeasureSettings = MeasureSettings()

    _auto_context: int = PrivateAttr(default=0)  # what `context: auto` means for the sample at hand
    _context_is_set: bool = PrivateAttr(default=True)

    @model_validator(mode="after")
    def _seeds_differ(self) -> Config:
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds must differ from one another, they are {list(self.seeds)}")
        return self

    def phantom_of(self, sample: str) -> PhantomSettings:
        """The phantom that a sample is."""
        merged = merge(self.phantom.model_dump(mode="json"), self.phantoms.get(sample, {}))
        return validated(PhantomSettings, merged, f"phantoms.{sample}")

    def variant(self, name: str) -> TrainSettings:
        """The settings of one variant: preset, then family, then `train:`, then its own keys."""
        own = self.variants[name]
        family = self._rules_of(name)
        if not family.trained:
            return validated(TrainSettings, self._with_context(own), f"variants.{name}")
        preset = PRESETS[self.preset]
        objective = own.get("objective", self.train.get("objective"))
        of_objective = preset["wgangp"] if objective == "wgangp" else {}
        published = self.preset == "paper"
        of_family = merge(family.settings, family.paper_settings if published else {})
        merged = merge(preset["all"], of_family, of_objective, self.train, own)
        settings = validated(TrainSettings, self._with_context(merged), f"variants.{name}")
        if published and family.paper_fixes_generator:
            fixed = settings.generator.model_copy(update=PAPER_FIXED)
            settings = settings.model_copy(update={"generator": fixed})
        return settings

    def _with_context(self, values: dict[str, Any]) -> dict[str, Any]:
        if values.get("context") != "auto":
            return values
        family = rules_of(str(values.get("family"))) or FamilyRules()
        return {**values, "context": self._auto_context if family.translates else 0}

    def _rules_of(self, name: str) -> FamilyRules:
        """Those of a variant's family; for an unknown one, which is reported elsewhere, the usual."""
        return rules_of(str(self.variants[name].get("family", self.train.get("family")))) or FamilyRules()

    def seeds_of(self, name: str) -> tuple[int, ...]:
        """Baselines are fitted, not trained: one seed is enough for them."""
        return self.seeds if self._rules_of(name).trained else self.seeds[:1]

    @property
    def context_is_set(self) -> bool:
        """Whether `patches.context` is the user's own; else it is the largest of the variants'."""
        return self._context_is_set

    @property
    def trained(self) -> tuple[str, ...]:
        """The variants that are trained; baselines are fitted, and have neither seeds nor dropout."""
        return tuple(name for name in self.translations if self.variant(name).rules.trained)

    @property
    def translations(self) -> tuple[str, ...]:
        """The variants that translate TXM to SEM: all but the side tasks."""
        return tuple(name for name in self.variants if self.variant(name).rules.translates)

    @property
    def side_tasks(self) -> tuple[str, ...]:
        """The variants that repair or segment."""
        return tuple(name for name in self.variants if name not in self.translations)

    @property
    def ensembles(self) -> tuple[str, ...]:
        """The variants whose seeds make an ensemble."""
        return self.trained if self.predict.uncertainty.ensemble else ()

    @property
    def dropout_variants(self) -> tuple[str, ...]:
        """The variants that are predicted by several passes with active dropout."""
        wanted = self.predict.uncertainty.dropout_samples > 0
        return tuple(name for name in self.trained if wanted and self.variant(name).generator.drops)

    @property
    def factors(self) -> tuple[int, ...]:
        """The super-resolution factors that the variants need."""
        return tuple(sorted({self.variant(name).factor for name in self.variants} - {1}))


def load_config(values: Mapping[str, Any], where: str = "the configuration", auto_context: int = 0) -> Config:
    """Check a parsed configuration and return it complete.

    Args:
        values: the parsed YAML.
        where: its name in messages.
        auto_context: what `context: auto` stands for, from `samples.widest_context`.

    Raises:
        ConfigError: names the first wrong key, its value, the rule, and for an unknown key the nearest known one.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: keys and values are needed, this is {type(values).__name__}: {shown(values)}.")
    check_bounds(values, where)
    values = dict(values)
    for stage, preset in PAPER_STAGES.items() if values.get("preset") == "paper" else ():
        given = values.get(stage, {})
        values[stage] = merge(preset, given) if isinstance(given, Mapping) else given
    config = validated(Config, values, "", where)
    declare_plugins(config.plugins)
    given = "context" in config.patches.model_fields_set
    config._auto_context = min(auto_context, config.patches.context) if given else auto_context
    validated(TrainSettings, config._with_context(merge({"family": STAND_IN}, config.train)), "train", where)
    if not given:
        needed = max(config.variant(name).context for name in config.variants)
        config = config.model_copy(update={"patches": config.patches.model_copy(update={"context": needed})})
        config._auto_context = auto_context
    auto_context = config._auto_context
    config = _without_left_out(config)  # now, so that the patches stay those of all variants
    config._auto_context, config._context_is_set = auto_context, given
    for name in config.phantoms:
        config.phantom_of(name)
    for name in config.variants:
        variant = config.variant(name)
        check_family_name(variant.family, config.plugins, f"variants.{name}.family")
        check_generator_name(variant.generator.name, config.plugins, f"variants.{name}.generator.name")
        _check_variant(name, variant, config.patches)
        check_networks(name, variant, config.patches)
    check_patches(config.patches)
    _check_device(config)
    _check_names(config)
    _check_uncertainty(config)
    _check_measured_seeds(config)
    if not config.translations:
        raise ConfigError(
            f"{where}: all variants are side tasks ({', '.join(config.variants)}). Add one that translates, if only a "
            "baseline, as in pointwise: {family: baseline, generator: {name: pointwise}}."
        )
    return config


def _without_left_out(config: Config) -> Config:
    unknown = [name for name in config.leave_out if name not in config.variants]
    if unknown:
        near = difflib.get_close_matches(unknown[0], list(config.variants), n=1)
        remedy = f"Did you mean {near[0]!r}?" if near else f"They are {', '.join(config.variants)}."
        raise ConfigError(f"leave_out: there is no variant {unknown[0]!r}. {remedy}")
    kept = {name: own for name, own in config.variants.items() if name not in config.leave_out}
    if not kept:
        raise ConfigError("leave_out: no variant is left. Leave fewer out.")
    return config.model_copy(update={"variants": kept})


def parse_settings(model: type[Group], text: str, **values: Any) -> Group:
    """Check a group of settings given as JSON, with `values` over it.

    Raises:
        ConfigError: not JSON, or a key or value that cannot be used.
    """
    try:
        given = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"settings: this is not JSON ({error.msg} at column {error.colno}): {shown(text)}."
        ) from error
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets within brackets without end
        raise ConfigError(f"settings: a value cannot be read ({str(error)[:200]}).") from error
    if not isinstance(given, Mapping):
        raise ConfigError(f"settings: keys and values are needed, this is {type(given).__name__}: {shown(text)}.")
    return validated(model, {**given, **values}, "")


def _check_variant(name: str, variant: TrainSettings, patches: PatchesSettings) -> None:
    if patches.size_px % variant.factor or patches.grid_px % variant.factor:
        raise ConfigError(
            f"variants.{name}.factor: {variant.factor} does not divide patches.size_px = {patches.size_px} and "
            f"patches.grid_px = {patches.grid_px}. Choose multiples of {variant.factor} for both."
        )
    if variant.factor > 1 and patches.txm.equalise:
        raise ConfigError(
            f"patches.txm.equalise: {patches.txm.equalise:g} does not go with variants.{name}, which sees a coarser "
            "TXM: equalised and made coarser is not the same as made coarser and equalised. Set it to 0."
        )
    if variant.context > patches.context:
        raise ConfigError(
            f"variants.{name}.context: {variant.context} slices are asked for on each side, but patches.context is "
            f"{patches.context}. Raise patches.context to {variant.context}."
        )


def _check_device(config: Config) -> None:
    """Half precision that the device does not have; for `auto` and `cuda` only the computing machine can say."""
    if config.device not in ("cpu", "mps"):
        return
    groups = {"predict": config.predict.compute, **{f"variants.{n}": config.variant(n).compute for n in config.trained}}
    for where, compute in groups.items():
        if compute.precision == "float16":
            raise ConfigError(
                f"{where}.compute.precision: float16 needs a GPU, but device is {config.device}. Choose bfloat16 or "
                "float32, or another device."
            )


def _check_names(config: Config) -> None:
    """Names of variants that would mean something else in the results."""
    if "truth" in config.variants:
        raise ConfigError("variants.truth: tables of the rock call the measured volume so. Choose another name.")
    lower = [name.lower() for name in config.variants]
    for name in config.variants:
        if lower.count(name.lower()) > 1:
            raise ConfigError(
                f"variants.{name}: another variant has this name in capitals or small letters, and on some file "
                "systems both would have one folder. Rename one."
            )


def _check_measured_seeds(config: Config) -> None:
    """A list of seeds whose volumes are measured."""
    chosen = config.measure.seeds
    if isinstance(chosen, str):
        return
    unknown = [seed for seed in chosen if seed not in config.seeds]
    if unknown or chosen[0] != config.seeds[0] or len(set(chosen)) < len(chosen):
        raise ConfigError(
            f"measure.seeds: {list(chosen)} must be some of seeds, {list(config.seeds)}, each once, and begin with its "
            f"first, {config.seeds[0]}, which figures show. Or choose all, or first."
        )


def _check_uncertainty(config: Config) -> None:
    wanted, key = config.predict.uncertainty, "predict.uncertainty"
    if wanted.ensemble and len(config.seeds) < 2:
        raise ConfigError(
            f"{key}.ensemble: an ensemble needs models of at least two seeds, but seeds is {list(config.seeds)}. "
            "Add some, as in seeds: [0, 1, 2, 3]."
        )
    if wanted.ensemble and not config.trained:
        raise ConfigError(f"{key}.ensemble: all variants are baselines, which have no seeds. Add one that is trained.")
    clash = [name for name in config.ensembles if f"{name}_ensemble" in config.variants]
    if clash:
        raise ConfigError(f"variants.{clash[0]}_ensemble: the ensemble of {clash[0]} has this name. Choose another.")
    if wanted.dropout_samples and not config.dropout_variants:
        raise ConfigError(
            f"{key}.dropout_samples: no variant has dropout. Set generator.dropout: true for one "
            f"({', '.join(WITHOUT_DROPOUT)} have no place for it), or use {key}.ensemble."
        )
