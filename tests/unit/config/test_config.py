"""What settings mean, what presets set, and the messages of wrong configurations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.config import (
    PatchesSettings,
    PredictSettings,
    ScheduleSettings,
    TrainSettings,
    load_config,
    parse_settings,
)
from txm2sem_core.config.figures import FigureSettings, load_figure_settings
from txm2sem_core.config.presets import PRESETS
from txm2sem_core.errors import ConfigError
from txm2sem_core.networks import build_discriminator, build_generator

REPOSITORY = Path(__file__).resolve().parents[3]


def variant(own: dict[str, Any], **others: Any) -> TrainSettings:
    return load_config({"variants": {"a": own}, **others}).variant("a")


# --- presets: each row of the published behaviours that `corrected` changes


def test_presets_differ_where_the_published_behaviour_is_corrected() -> None:
    paper, corrected = (variant({"family": "pix2pix"}, preset=preset) for preset in ("paper", "corrected"))
    assert (paper.inference_mode, corrected.inference_mode) == ("batch_statistics", "evaluation")
    assert (paper.batch_size, corrected.batch_size) == (1, 4)
    assert (paper.z_penalty.reduction, corrected.z_penalty.reduction) == ("sum", "mean")
    assert (paper.select, corrected.select) == ("last", "best_psnr")
    assert paper.pixel_weight == corrected.pixel_weight == 100


def test_presets_of_the_stages() -> None:
    paper, corrected = (
        load_config({"preset": preset, "variants": {"a": {"family": "feedforward"}}})
        for preset in ("paper", "corrected")
    )
    assert (paper.downsample.method, corrected.downsample.method) == ("nearest", "area")
    assert (paper.patches.evaluation, corrected.patches.evaluation) == ("random", "grid")
    asked = load_config(
        {"preset": "paper", "downsample": {"method": "psf"}, "variants": {"a": {"family": "feedforward"}}}
    )
    assert asked.downsample.method == "psf"  # what is asked for stands above the preset


@pytest.mark.parametrize("family", ["feedforward", "srcnn"])
def test_paper_fixes_norm_dropout_and_initialisation(family: str) -> None:
    own = {"family": family, "factor": 2 if family == "srcnn" else 1}
    asked = {"norm": "instance", "dropout": True, "init": "kaiming", "init_gain": 0.5, "width": 12}
    paper, corrected = (variant({**own, "generator": asked}, preset=preset) for preset in ("paper", "corrected"))
    fixed = {"norm": "batch", "dropout": False, "init": "normal", "init_gain": 0.02}
    assert paper.generator.model_dump() == corrected.generator.model_dump() | fixed
    assert corrected.generator.model_dump().items() >= asked.items()


def test_paper_leaves_the_adversarial_families_as_asked() -> None:
    asked = {"family": "pix2pix", "generator": {"norm": "instance", "dropout": False}}
    assert variant(asked, preset="paper").generator.norm == "instance"


def test_the_wasserstein_critic() -> None:
    own = {"family": "pix2pix", "objective": "wgangp"}
    paper, corrected = (variant(own, preset=preset) for preset in ("paper", "corrected"))
    assert (paper.discriminator.norm, corrected.discriminator.norm) == ("batch", "none")
    assert (paper.gradient_penalty_weight, corrected.gradient_penalty_weight) == (0, 10)
    assert (paper.critic_steps, corrected.critic_steps) == (1, 5)
    assert variant({"family": "pix2pix"}).discriminator.norm == "batch"


def test_shared_settings_override_the_preset_and_a_variant_overrides_both() -> None:
    shared = {"objective": "wgangp", "critic_steps": 2, "batch_size": 7}
    chosen = variant({"family": "srgan", "factor": 2, "batch_size": 9}, train=shared)
    assert (chosen.critic_steps, chosen.batch_size, chosen.pixel_weight) == (2, 9, 1000)
    assert chosen.discriminator.norm == "none"  # the objective is asked for in `train:`
    assert not chosen.discriminator.conditional


def test_nested_groups_merge_key_by_key() -> None:
    chosen = variant({"family": "feedforward", "generator": {"width": 8}}, train={"generator": {"norm": "instance"}})
    assert (chosen.generator.width, chosen.generator.norm, chosen.generator.name) == (8, "instance", "resnet_9blocks")


def test_the_family_may_stand_in_train() -> None:
    assert variant({}, train={"family": "pix2pix"}).pixel_weight == 100


def test_baselines_take_nothing_from_the_preset_and_one_seed() -> None:
    config = load_config(
        {
            "preset": "paper",
            "seeds": [3, 4],
            "train": {"batch_size": 3},
            "variants": {
                "identity": {"family": "baseline", "generator": {"name": "identity"}},
                "net": {"family": "feedforward"},
            },
        }
    )
    assert config.variant("identity").inference_mode == "evaluation"
    assert config.seeds_of("identity") == (3,)
    assert config.seeds_of("net") == (3, 4)


def test_factors_are_those_of_the_variants() -> None:
    variants = {f"x{factor}": {"family": "srcnn", "factor": factor} for factor in (4, 2)}
    assert load_config({"variants": {**variants, "net": {"family": "feedforward"}}}).factors == (2, 4)


def test_yaml_reads_1e_4_as_text_and_it_is_a_number_all_the_same() -> None:
    text = "variants: {a: {family: feedforward, optimiser: {learning_rate: 1e-4}, z_penalty: {projection: 1E-3}}}"
    values = yaml.safe_load(text)
    assert values["variants"]["a"]["optimiser"]["learning_rate"] == "1e-4"
    chosen = load_config(values).variant("a")
    assert (chosen.optimiser.learning_rate, chosen.z_penalty.projection) == (1e-4, 1e-3)


@pytest.mark.parametrize(("policy", "total"), [("linear", 15), ("step", 10), ("constant", 10), ("plateau", 10)])
def test_epochs_in_all(policy: str, total: int) -> None:
    assert ScheduleSettings(policy=policy, epochs=10, decay_epochs=5).total_epochs == total


# --- the canonical form

leaves = st.one_of(st.booleans(), st.integers(-5, 5), st.text("abc", max_size=3))
json_values = st.recursive(leaves, lambda inner: st.dictionaries(st.text("abcd", max_size=2), inner, max_size=4))


@given(st.dictionaries(st.text("abcd", min_size=1, max_size=2), json_values, min_size=2, max_size=5), st.randoms())
def test_canonical_json_does_not_depend_on_the_order_of_keys(train: dict[str, Any], random: Any) -> None:
    def shuffled(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        items = list(value.items())
        random.shuffle(items)
        return {key: shuffled(inner) for key, inner in items}

    one = load_config({"variants": {"a": {"family": "feedforward"}}}).model_copy(update={"train": train})
    other = one.model_copy(update={"train": shuffled(train)})
    assert one.canonical_json() == other.canonical_json()


def test_canonical_json_reads_back_and_distinguishes_settings() -> None:
    chosen = variant({"family": "pix2pix", "optimiser": {"learning_rate": "1e-4"}})
    assert parse_settings(TrainSettings, chosen.canonical_json()) == chosen
    assert chosen.canonical_json() != variant({"family": "pix2pix"}).canonical_json()
    assert (
        chosen.canonical_json() == variant({"optimiser": {"learning_rate": 1e-4}, "family": "pix2pix"}).canonical_json()
    )


def test_settings_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        PredictSettings().tile_px = 3  # type: ignore[misc]


# --- mistakes


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"varants": {}}, ["varants", "variants"]),
        ({"register": {"trnsform": "none"}}, ["register.trnsform", "'transform'"]),
        ({"patches": {"split": {"trian": 1}}}, ["patches.split.trian", "'train'"]),
        ({"train": {"generator": {"widht": 3}}}, ["train.generator.widht", "'width'"]),
        ({"variants": {"a": {"family": "srgan", "facctor": 2}}}, ["variants.a.facctor", "'factor'"]),
        ({"predict": {"xyz": 1}}, ["predict.xyz", "tile_px", "overlap_px"]),  # nothing is near: all are named
        ({"preset": "papper"}, ["preset", "papper", "paper", "corrected"]),
        ({"patches": {"size_px": 4}}, ["patches.size_px", "8", "4"]),
        ({"patches": {"percentiles": [5, 1]}}, ["patches", "percentiles", "5.0, 1.0"]),
        ({"patches": {"size_px": 66}}, ["patches", "size_px", "grid_px = 4", "66"]),
        ({"patches": {"split": {"train": 0.9}}}, ["patches.split", "add up to 1"]),
        ({"patches": [1]}, ["patches", "[1]"]),
        ({"preset": "paper", "patches": [1]}, ["patches", "[1]"]),
        ({"train": None}, ["train", "None"]),
        ({"seeds": []}, ["seeds", "at least 1"]),
        ({"seeds": [0, 0]}, ["seeds", "[0, 0]"]),
        ({"variants": {}}, ["variants", "at least 1"]),
        ({"variants": {"a": None}}, ["variants.a", "None"]),
        ({"variants": {"a b": {"family": "feedforward"}}}, ["variants.a b", "pattern"]),
        ({"variants": {"a": {}}}, ["variants.a.family", "missing"]),
        ({"variants": {"a": {"family": ["pix2pix"]}}}, ["variants.a.family", "pix2pix"]),
        ({"variants": {"a": {"family": "srcnn", "factor": 3}}}, ["variants.a.factor", "1, 2, 4 or 8", "3"]),
        ({"variants": {"a": {"family": "srcnn"}}}, ["variants.a", "factor", "srcnn"]),
        ({"variants": {"a": {"family": "feedforward", "factor": 2}}}, ["variants.a", "factor", "srcnn or srgan"]),
        ({"variants": {"a": {"family": "srcnn", "factor": 8}}}, ["variants.a.factor", "8", "grid_px = 4"]),
        (
            {"patches": {"context": 0}, "variants": {"a": {"family": "feedforward", "context": 1}}},
            ["variants.a.context", "patches.context to 1"],
        ),
        (
            {"variants": {"a": {"family": "srcnn", "factor": 2, "generator": {"name": "unet_128"}}}},
            ["variants.a", "generator.name", "unet_128"],
        ),
        ({"preset": "paper", "variants": {"a": {"family": "feedforward", "generator": "unet"}}}, ["generator", "unet"]),
        ({"variants": {"a": {"family": "feedforward", "optimiser": {"learning_rate": float("nan")}}}}, ["finite"]),
        ({"measure": {"data_range": -1}}, ["measure.data_range", "-1"]),
    ],
)
def test_a_wrong_configuration_is_refused_with_key_value_and_rule(values: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config({"variants": {"a": {"family": "feedforward"}}, **values})
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("values", [[], None, "text", 3])
def test_a_configuration_that_holds_no_keys(values: Any) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml: keys and values are needed"):
        load_config(values, "config.yaml")


def test_settings_as_json() -> None:
    assert parse_settings(PatchesSettings, '{"size_px": 64}', train=5) == PatchesSettings(size_px=64, train=5)
    for text, word in (("{", "column"), ("[1]", "list"), ('{"sizepx": 3}', "'size_px'")):
        with pytest.raises(ConfigError, match=word):
            parse_settings(PatchesSettings, text)


# --- the repository's own configurations


@pytest.mark.parametrize("name", ["config.yaml", "demo.yaml", "examples/uncertainty.yaml"])
def test_the_delivered_configurations_build_networks(name: str) -> None:
    config = load_config(yaml.safe_load((REPOSITORY / "config" / name).read_text()))
    assert (REPOSITORY / config.samples).is_file()
    for key in config.variants:
        chosen = config.variant(key)
        own = chosen.generator.model_dump() | {"width": 4}
        assert build_generator(**own, in_channels=1, factor=chosen.factor).factor == chosen.factor
        build_discriminator(**chosen.discriminator.model_dump(exclude={"conditional"}) | {"width": 4}, in_channels=2)
        json.loads(chosen.canonical_json())


def test_the_full_comparison_has_every_published_family_and_the_baselines() -> None:
    config = load_config(yaml.safe_load((REPOSITORY / "config/config.yaml").read_text()))
    chosen = [config.variant(name) for name in config.variants]
    for family, factors in (("feedforward", {1}), ("pix2pix", {1}), ("srcnn", {2, 4}), ("srgan", {2, 4})):
        for penalised in (False, True):
            assert {
                v.factor for v in chosen if v.family == family and bool(v.z_penalty.weights) == penalised
            } >= factors
    assert {v.generator.name for v in chosen} >= {"identity", "bicubic", "linearfilt", "gammafilt", "constant"}
    assert {v.objective for v in chosen if v.family in ("pix2pix", "srgan")} >= {"vanilla", "wgangp"}


def test_the_full_comparison_sets_nothing_that_a_preset_decides() -> None:
    """Else `preset=paper` would be the published code but for that key."""
    delivered = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())
    decided = {key for preset in PRESETS.values() for key in preset["all"]}
    assert not decided & set(delivered["train"])
    chosen = load_config({**delivered, "preset": "paper"}).variant("feedforward")
    assert (chosen.batch_size, chosen.turns, chosen.select) == (1, False, "last")


def test_the_delivered_style_of_figures_is_the_default() -> None:
    style = load_figure_settings(yaml.safe_load((REPOSITORY / "config/figures.yaml").read_text()))
    assert style == FigureSettings()
    with pytest.raises(ConfigError, match="dpi"):
        load_figure_settings({"common": {"dpii": 300}})


def test_patches_are_cut_with_as_many_neighbours_as_the_variants_need() -> None:
    variants = {"a": {"family": "feedforward", "context": 2}, "b": {"family": "feedforward", "context": 0}}
    assert load_config({"variants": variants}).patches.context == 2
    assert load_config({"variants": variants, "patches": {"context": 3}}).patches.context == 3
    assert load_config({"variants": {"b": variants["b"]}, "patches": {"size_px": 64}}).patches.context == 0
