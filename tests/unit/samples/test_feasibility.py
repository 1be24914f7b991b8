"""What is refused before the first job: networks, splits, masks and sizes that cannot be; and that the rest works."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from txm2sem_core import io
from txm2sem_core.config import TrainSettings, load_config
from txm2sem_core.config.fitting import SSIM_WINDOW_PX
from txm2sem_core.config.generators import BASELINES, TAKES
from txm2sem_core.errors import ConfigError, InputError, Txm2semError
from txm2sem_core.families import family_of
from txm2sem_core.metrics import windows
from txm2sem_core.networks import Baseline, build_generator
from txm2sem_core.samples.feasibility import check_feasible
from txm2sem_core.samples.own_networks import check_own_networks
from txm2sem_core.samples.table import Sample

PHANTOM = Sample(sample="rock", source="phantom")
NET = {"a": {"family": "feedforward", "generator": {"name": "unet_32"}}}


def checked(values: dict[str, Any], sample: Sample = PHANTOM) -> None:
    check_feasible(load_config(values), sample, Path("raw"))


def variant(patches: dict[str, Any] | None = None, **own: Any) -> dict[str, Any]:
    return {"variants": {"a": own}, "patches": {"size_px": 64, **(patches or {})}}


# --- networks and patches: the same for every sample

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a U-Net too deep": (
        variant({"size_px": 48}, family="feedforward", generator={"name": "unet_32"}),
        "variants.a.generator.name: 'unet_32' cannot take patches of 48 pixels .* multiple of 32, .* to 32 or 64",
    ),
    "a U-Net and few pixels": (
        variant({"size_px": 128}, family="pix2pix"),
        "variants.a.generator.name: 'unet_256' .* 128 pixels .* Set patches.size_px to 256, or another generator",
    ),
    "a ResNet": (
        variant({"size_px": 30, "grid_px": 2}, family="feedforward"),
        "'resnet_9blocks' cannot take patches of 30 pixels .* multiple of 4, at least 8",
    ),
    "super-resolution of few pixels": (
        variant({"size_px": 16, "grid_px": 8}, family="srcnn", factor=4),
        r"'sr_resnet_9blocks' cannot take patches of 4 pixels \(patches.size_px = 16, factor 4\).* to 24",
    ),
    "a discriminator too deep": (
        variant(family="pix2pix", generator={"name": "unet_32"}, discriminator={"name": "n_layers", "layers": 5}),
        "variants.a.discriminator: 'n_layers' with 5 layers needs patches of 96 .* 64.*name: n_layers, layers: 4",
    ),
    "the basic discriminator": (
        variant({"size_px": 20}, family="srgan", factor=2),
        "variants.a.discriminator: 'basic' with 3 layers needs patches of 24 pixels.*layers: 2",
    ),
    "layers without meaning": (
        variant(family="pix2pix", generator={"name": "unet_32"}, discriminator={"name": "pixel", "layers": 2}),
        "variants.a.discriminator.layers: 2 has no meaning for 'pixel'",
    ),
    "a baseline that is none": (variant(family="baseline"), "variants.a.generator.name: 'resnet_9blocks' is no base"),
    "a baseline that is trained": (
        variant(family="feedforward", generator={"name": "bicubic"}),
        "variants.a.generator.name: 'bicubic' is fitted, not trained. Give it the family baseline",
    ),
    "a factor that a baseline has not": (
        variant(family="baseline", factor=2, generator={"name": "identity"}),
        "variants.a.factor: 'identity' has none of 2, only 1",
    ),
    "a factor that does not divide": (
        variant({"grid_px": 2}, family="srcnn", factor=4),
        "variants.a.factor: 4 does not",
    ),
    "patches below the window of SSIM": (
        variant({"size_px": 8}, family="feedforward"),
        "patches.size_px: 8 pixels are less than the window of SSIM, 11",
    ),
    "float16 without a GPU": (
        variant(family="feedforward", compute={"precision": "float16"}) | {"device": "cpu"},
        "variants.a.compute.precision: float16 needs a GPU, but device is cpu",
    ),
    "float16 in prediction": (
        variant(family="feedforward") | {"device": "cpu", "predict": {"compute": {"precision": "float16"}}},
        "predict.compute.precision: float16 needs a GPU",
    ),
    "a momentum of 1": (variant(family="feedforward", optimiser={"beta1": 1}), "variants.a.optimiser.beta1"),
    "thresholds that do not ascend": (
        variant(family="feedforward") | {"measure": {"thresholds": [90, 40]}},
        "measure: thresholds must be ascending",
    ),
    "more phases than colours": (
        variant(family="feedforward") | {"measure": {"thresholds": [1, 2, 3, 4, 5]}},
        "measure: thresholds: at most 4",
    ),
    "a variant called truth": ({"variants": {"truth": NET["a"]}}, "variants.truth: tables of the rock"),
    "one folder for two variants": ({"variants": {"net": NET["a"], "Net": NET["a"]}}, "variants.net: another variant"),
    "a phantom too small": ({"variants": NET, "phantom": {"shape": [24, 8, 64]}}, "phantom.shape: .* less than 16"),
    "a phantom of two pairs": (
        {"variants": NET, "phantom": {"shape": [16, 512, 512]}},
        "sample rock: no pair is left for the split train, of 2 pairs .*Set phantom.shape to more slices along Z",
    ),
    "a context wider than the pairs are apart": (
        {"variants": NET, "phantom": {"shape": [16, 512, 512], "pair_every": 2}, "patches": {"context": 3}},
        "no pair is left for the split .* are left out for patches.context = 3 .*phantom.pair_every to more",
    ),
    "patches larger than the slices": (
        {"variants": NET, "phantom": {"shape": [64, 250, 400]}},
        "patches.size_px: 256 is larger than the TXM slices of sample rock, .* 250 pixels along Y; .* Set it to 248 or",
    ),
    "displaced out of the slices": (
        {"variants": NET, "phantom": {"shape": [64, 256, 400]}, "patches": {"txm": {"offset_px": [-4, 0]}}},
        "patches.size_px: .* 256 pixels along Y less patches.txm.offset_px of 4; .* Set it to 252 or less",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_at_once(kind: str) -> None:
    values, words = REFUSED[kind]
    with pytest.raises(ConfigError, match=words):
        checked(values)


def test_the_rules_of_generators_are_those_of_the_networks() -> None:
    for name, takes in TAKES.items():
        for factor in (1, 2, 4, 8):
            try:
                with torch.device("meta"):
                    network = build_generator(name, width=1, factor=factor, norm="none")
            except ConfigError:
                assert takes.factors is not None
                assert factor not in takes.factors, name
            else:
                assert takes.factors is None or factor in takes.factors, name
                assert (network.size_multiple, network.minimum_size) == (takes.multiple, takes.minimum), name
                assert isinstance(network, Baseline) == (name in BASELINES)


def test_the_smallest_patch_is_that_of_the_scores() -> None:
    assert SSIM_WINDOW_PX == windows.SSIM_WINDOW_PX


names = st.sampled_from(
    ["unet_32", "unet_64", "resnet_1blocks", "sr_resnet_1blocks", "linearfilt", "bicubic", "identity"]
)
variants = st.fixed_dictionaries(
    {
        "family": st.sampled_from(["feedforward", "pix2pix", "srcnn", "srgan", "repair", "segmentation", "baseline"]),
        "factor": st.sampled_from([1, 1, 2, 4, 8]),
        "generator": st.fixed_dictionaries(
            {"name": names, "width": st.just(2), "norm": st.sampled_from(["batch", "instance", "none"])}
        ),
        "discriminator": st.fixed_dictionaries(
            {
                "name": st.sampled_from(["basic", "n_layers", "pixel"]),
                "layers": st.sampled_from([1, 2, 3, 3, 4]),
                "width": st.just(2),
                "norm": st.sampled_from(["batch", "instance", "none"]),
                "spectral_norm": st.booleans(),
                "conditional": st.booleans(),
            }
        ),
    }
)


def built(settings: TrainSettings, size_px: int) -> None:
    """The networks really built, and given a batch of one patch, in training."""
    generator = build_generator(**family_of(settings).generator_arguments(), seed=0).train()
    if isinstance(generator, Baseline) != (settings.family == "baseline"):
        raise ConfigError("fitted or trained")
    size = size_px // settings.factor
    x = torch.zeros(1, generator.in_channels, size, size)
    if isinstance(generator, Baseline):
        generator.fit(x, torch.zeros(1, 1, size_px, size_px))
    answer = generator(x)
    assert answer.shape[2:] == (size_px, size_px)
    discriminator = family_of(settings).build_discriminator(0)
    assert (discriminator is not None) == settings.rules.adversarial
    if discriminator is not None:
        channels = 1 + generator.in_channels * settings.discriminator.conditional
        assert discriminator(torch.zeros(1, channels, size_px, size_px)).numel()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(variants, st.integers(3, 24).map(lambda n: 4 * n))
def test_networks_are_refused_if_and_only_if_they_fail(own: dict[str, Any], size_px: int) -> None:
    """By the rules without loading a network, and by really building and calling it: the same verdict."""
    try:
        chosen = TrainSettings.model_validate(own)
    except ValueError:
        assume(False)
    assume(4 % chosen.factor == 0 and size_px % chosen.factor == 0)
    other = {"b": {"family": "baseline", "generator": {"name": "pointwise"}}}
    try:
        load_config({"variants": {"a": own, **other}, "patches": {"size_px": size_px}})
        refused = None
    except ConfigError as error:
        refused = str(error)
    try:
        built(chosen, size_px)
        failed = None
    except (Txm2semError, ValueError, RuntimeError) as error:
        failed = str(error)
    assert bool(refused) == bool(failed), (refused, failed)


# --- networks of a user's own, which the plan builds and the check does not


OWN_NETWORK = """
import torch
from txm2sem_core.networks import ImageGenerator, register_generator

class Own(ImageGenerator):
    def __init__(self, options):
        channels = dict(in_channels=options.in_channels, out_channels=1)
        super().__init__(**channels, receptive_radius_px=0, size_multiple={multiple})
        self.layer = torch.nn.Conv2d(options.in_channels, 1, 1)

    def forward(self, x):
        self.check_input(x)
        return {answer}

@register_generator("own_{name}")
def own(options):
    return Own(options)
"""
OWN_NETWORKS = {
    "right": (8, "self.layer(x)", None),
    "size": (24, "self.layer(x)", "must be a multiple of 24"),
    "shape": (8, "self.layer(x)[..., 1:]", r"makes \[2, 1, 64, 63\] of patches \[2, 5, 64, 64\]"),
    "fault": (8, "self.layer(x) / None", "TypeError: unsupported operand"),
}


@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_networks_of_ones_own(tmp_path: Path, name: str) -> None:
    multiple, answer, words = OWN_NETWORKS[name]
    file = tmp_path / f"{name}.py"
    file.write_text(OWN_NETWORK.format(name=name, multiple=multiple, answer=answer))
    own = variant(family="feedforward", context=2, generator={"name": f"own_{name}"})
    config = load_config({**own, "plugins": [str(file)]})  # without running it
    if words is None:
        check_own_networks(config)
    else:
        with pytest.raises(ConfigError, match=f"variants.a.generator.name: 'own_{name}' .*{words}"):
            check_own_networks(config)


# --- pairs of a user's own


def pairs(root: Path, count: int = 4, side: int = 40, **more: str) -> Sample:
    for kind in ("txm", "sem", *[name for name in ("charge", "lowdensity", "highdensity") if name in more]):
        for number in range(count):
            io.write_tiff(root / kind / f"{kind}{number:03d}.tif", np.zeros((side, side), np.uint8))
    return Sample(sample="own", source="pairs", txm=str(root / "txm"), sem=str(root / "sem"), **more)


OWN = {"patches": {"size_px": 32}, "variants": NET}


def test_own_pairs_too_few_or_too_small(tmp_path: Path) -> None:
    checked(OWN, pairs(tmp_path / "enough"))
    with pytest.raises(ConfigError, match=r"sample own: no pair is left for the split train, of 2 pairs.*more pairs"):
        checked(OWN, pairs(tmp_path / "few", 2))
    with pytest.raises(ConfigError, match=r"patches.size_px: 32 is larger than .* sample own, .* Set it to 28 or less"):
        checked(OWN, pairs(tmp_path / "small", side=30))


@pytest.mark.parametrize(("family", "columns"), [("repair", "charge"), ("segmentation", "lowdensity and highdensity")])
def test_side_tasks_without_their_masks(tmp_path: Path, family: str, columns: str) -> None:
    side = {"family": family, "generator": {"name": "unet_32"}}
    values = {**OWN, "variants": {**NET, "side": side}}
    with pytest.raises(ConfigError, match=f"variants.side: family {family} .* sample own .*columns? {columns}"):
        checked(values, pairs(tmp_path))
    folders = {name: str(tmp_path / name) for name in ("charge", "lowdensity", "highdensity")}
    checked(values, pairs(tmp_path, **folders))


def test_one_folder_as_both_kinds_of_slices_is_refused(tmp_path: Path) -> None:
    sample = pairs(tmp_path)
    with pytest.raises(InputError, match=r"sem000\.tif is TXM and FIB-SEM slice of pair .*different folders"):
        checked(OWN, sample.model_copy(update={"txm": sample.sem}))


def test_context_without_a_volume_or_a_place_in_it_is_refused(tmp_path: Path) -> None:
    values = {**OWN, "patches": {"size_px": 32, "context": 1}}
    with pytest.raises(
        ConfigError, match=r"patches.context: 1 TXM slices .* own has no TXM volume.* patches.context to 0"
    ):
        checked(values, pairs(tmp_path))
    for z in range(13):
        io.write_tiff(tmp_path / "volume" / f"{z:03d}.tif", np.zeros((40, 40), np.uint8), (9, 9, 9))
    with pytest.raises(ConfigError, match=r"patches.context: .* own does not say where each of its pairs stands"):
        checked(values, pairs(tmp_path, txm_volume=str(tmp_path / "volume")))
    checked(values, pairs(tmp_path, txm_volume=str(tmp_path / "volume"), pair_z="0,4,8,12"))
    checked({**OWN, "patches": {"size_px": 32, "context": 0}}, pairs(tmp_path))


@pytest.mark.parametrize("kind", ["charge", "lowdensity"])
def test_a_mask_of_another_size_than_its_slice_is_refused_by_its_header(tmp_path: Path, kind: str) -> None:
    sample = pairs(tmp_path, **{kind: str(tmp_path / kind)})
    checked(OWN, sample)
    io.write_tiff(tmp_path / kind / f"{kind}002.tif", np.zeros((40, 41), np.uint8))
    with pytest.raises(InputError, match=rf"{kind}002\.tif is \(40, 41\) and .*sem002\.tif is \(40, 40\)"):
        checked(OWN, sample)


def test_slices_of_other_sizes_without_a_registration_are_refused(tmp_path: Path) -> None:
    sample = pairs(tmp_path)
    io.write_tiff(tmp_path / "sem/sem001.tif", np.zeros((44, 40), np.uint8))
    checked(OWN, sample)
    with pytest.raises(
        InputError, match=r"txm001\.tif is \(40, 40\) and .*sem001\.tif is \(44, 40\) .* register.transform"
    ):
        checked({**OWN, "register": {"transform": "none"}}, sample)


def test_a_volume_of_another_bit_depth_than_its_slices_is_refused(tmp_path: Path) -> None:
    for z in range(9):
        io.write_tiff(tmp_path / "volume" / f"{z:03d}.tif", np.zeros((40, 40), np.uint16), (9, 9, 9))
    sample = pairs(tmp_path, txm_volume=str(tmp_path / "volume"), pair_z="0,2,4,6")
    with pytest.raises(InputError, match=r"volume: its voxels are uint16, but the TXM slices of sample own are uint8"):
        checked(OWN, sample)


def test_a_volume_smaller_than_a_patch(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    for z in range(9):
        io.write_tiff(volume / f"{z:03d}.tif", np.zeros((24, 40), np.uint8), (9, 9, 9))
    sample = pairs(tmp_path, txm_volume=str(volume), pair_z="0,2,4,6")
    checked(OWN, sample)
    values = {**OWN, "variants": {"a": {**NET["a"], "z_penalty": {"stack": 1}}}}
    with pytest.raises(ConfigError, match=r"variants.a.z_penalty.stack: .* sample own, whose slices have 24 x 40"):
        checked(values, sample)


def test_a_volume_without_slices_for_the_stack(tmp_path: Path) -> None:
    for z in range(9):
        io.write_tiff(tmp_path / "volume" / f"{z:03d}.tif", np.zeros((40, 40), np.uint8), (9, 9, 9))
    values = {**OWN, "variants": {"a": {**NET["a"], "z_penalty": {"stack": 1}, "context": 0}}}
    checked(values, pairs(tmp_path, 3, txm_volume=str(tmp_path / "volume"), pair_z="0,4,8"))
    with pytest.raises(
        ConfigError, match=r"variants.a.z_penalty.stack: none of the 9 slices .* 2 consecutive slices are"
    ):
        checked(values, pairs(tmp_path, 3, txm_volume=str(tmp_path / "volume"), pair_z="0,1,2"))


# --- splits: the same verdict as the stage that cuts


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True),
    st.integers(0, 3),
    st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda shares: sum(shares) <= 10),
)
def test_splits_are_refused_if_and_only_if_cutting_fails(
    tmp_path_factory: pytest.TempPathFactory, z: list[int], context: int, tenths: tuple[int, int]
) -> None:
    import pandas as pd

    from txm2sem_core.patches.extract import split_pairs
    from txm2sem_core.samples.feasibility import _check_splits, _Pairs, _splits

    shares = {"train": (10 - sum(tenths)) / 10, "validation": tenths[0] / 10, "test": tenths[1] / 10}
    config = load_config({"variants": NET, "patches": {"context": context, "split": shares}})
    places = [float(place) for place in z]
    known = _Pairs(places, _splits(config, places, []), (512, 512), None, True, True)
    try:
        _check_splits(config, PHANTOM, known)
        refused = False
    except ConfigError:
        refused = True
    table = pd.DataFrame({"pair": [str(place) for place in z], "z": places, "split": [None] * len(z)})
    try:
        cut = split_pairs(table, config.patches)
        failed = False
    except InputError:
        failed = True
    assert refused == failed
    if not failed:
        assert [None if pd.isna(split) else split for split in cut] == known.splits
