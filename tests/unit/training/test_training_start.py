"""A training that starts from a model takes its weights, keeps what is frozen, and says where they come from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from small_data import make_store, tiny

from txm2sem_core.checkpoint import save_model
from txm2sem_core.config import TrainSettings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families import family_of
from txm2sem_core.networks import build_generator
from txm2sem_core.training import train_model, trainer

torch.set_num_threads(1)


def trained(folder: Path, name: str = "model", family: str = "feedforward", **more: Any) -> Path:
    train_model(folder / "p", tiny(family, **more), 0, folder / name, device="cpu")
    return folder / name


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A model that was trained on other slices, beside the patches `p`."""
    make_store(tmp_path / "p", train=8, evaluation=2)
    make_store(tmp_path / "elsewhere" / "p", train=8, evaluation=2, seed=5, size_px=24)
    return trained(tmp_path / "elsewhere")


def weights(model: Path, file: str = "generator") -> dict[str, torch.Tensor]:
    return load_file(model / f"{file}.safetensors")


SLOW = {"optimiser": {"learning_rate": 1e-12}, "select": "last"}


def test_it_begins_with_the_weights_of_the_model(other: Path, tmp_path: Path, capsys: Any) -> None:
    """At a rate of nearly nothing it ends with them, too; of what is drawn at random nothing is left."""
    begun = trained(tmp_path, init_from=str(other), **SLOW)
    given, made, drawn = weights(other), weights(begun), weights(trained(tmp_path, "plain", **SLOW))
    moved = {key for key in given if "running" not in key and "num_batches" not in key}
    assert all(torch.allclose(given[key], made[key], atol=1e-7) for key in moved)
    assert any(not torch.allclose(given[key], drawn[key], atol=1e-3) for key in moved)
    said = capsys.readouterr().err
    assert f"starts from {other}: {len(given)} of {len(given)} arrays of weights are taken." in said
    assert "never updated" in " ".join(json.loads((begun / "model.json").read_text())["warnings"])


def test_it_is_better_after_few_steps(other: Path, tmp_path: Path) -> None:
    def first_score(model: Path) -> float:
        head, first = (model / "history.csv").read_text().splitlines()[:2]
        return float(dict(zip(head.split(","), first.split(","), strict=True))["validation_psnr"])

    longer = trained(tmp_path / "elsewhere", "longer", schedule={"policy": "constant", "epochs": 25})
    begun, plain = trained(tmp_path, init_from=str(longer)), trained(tmp_path, "plain")
    assert first_score(begun) > first_score(plain) + 0.5  # dB


def test_the_description_says_where_it_comes_from_and_maps_intensities_by_its_own_patches(
    other: Path, tmp_path: Path
) -> None:
    description, given = (
        json.loads((folder / "model.json").read_text())
        for folder in (trained(tmp_path, init_from=str(other), freeze=["first_conv"]), other)
    )
    record = description["started_from"]
    assert record["model"] == str(other)
    assert record["weights_sha256"] == given["weights_sha256"]
    assert record["frozen"] == ["first_conv.weight"]
    assert record["taken"] == len(weights(other))
    assert record["left"] == {}
    assert description["normalisation"] != given["normalisation"]
    assert "started_from" not in given


@pytest.mark.parametrize("more", [{}, {"ema_decay": 0.5}, {"compute": {"accelerate": False}}])
def test_frozen_layers_stay_to_the_bit_and_others_do_not(other: Path, tmp_path: Path, more: dict[str, Any]) -> None:
    begun = trained(tmp_path, init_from=str(other), freeze=["first_conv", "blocks.0"], **more)
    given, made = weights(other), weights(begun)
    frozen = {key for key in given if key.startswith(("first_conv.", "blocks.0.")) and key.endswith(("weight", "bias"))}
    assert len(frozen) > 4
    for key in given:
        if key.endswith(("weight", "bias")):
            assert torch.equal(given[key], made[key]) == (key in frozen), key


def test_weights_of_other_shapes_are_drawn_and_named(other: Path, tmp_path: Path, capsys: Any) -> None:
    """The first layer of a network that sees three slices is another one."""
    make_store(tmp_path / "p", train=8, evaluation=2, context=1)
    begun = trained(tmp_path, init_from=str(other), context=1)
    left = json.loads((begun / "model.json").read_text())["started_from"]["left"]
    assert left == {"first_conv.weight": "[4, 3, 7, 7], there [4, 1, 7, 7]"}
    assert "drawn at random: first_conv.weight ([4, 3, 7, 7], there [4, 1, 7, 7])" in capsys.readouterr().err


def test_little_that_is_taken_is_warned_of(other: Path, tmp_path: Path) -> None:
    """A model of one block fills the first of four."""
    begun = trained(tmp_path, init_from=str(other), generator={"name": "resnet_4blocks"})
    assert "of the network's weights could be taken from" in " ".join(
        json.loads((begun / "model.json").read_text())["warnings"]
    )


def test_an_adversarial_family_starts_its_generator_from_a_model_of_another_family(other: Path, tmp_path: Path) -> None:
    begun = trained(tmp_path, family="pix2pix", init_from=str(other), **SLOW)
    given, made = weights(other), weights(begun)
    assert all(torch.allclose(given[key], made[key], atol=1e-6) for key in given if key.endswith("conv1.weight"))


def test_killed_it_goes_on_as_it_would_have(other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[str, Any] = {"init_from": str(other), "freeze": ["first_conv"], "ema_decay": 0.5}
    whole = trained(tmp_path, "whole", **options)
    validate, calls = trainer.validate, []

    def mortal(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return validate(*args)

    monkeypatch.setattr(trainer, "validate", mortal)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path, "killed", **options)
    killed = trained(tmp_path, "killed", **options)
    for file in ("generator.safetensors", "last.safetensors", "model.json", "history.csv"):
        assert (killed / file).read_bytes() == (whole / file).read_bytes()


def test_a_changed_model_trains_again_and_the_same_does_not(other: Path, tmp_path: Path, capsys: Any) -> None:
    begun = trained(tmp_path, init_from=str(other))
    before = weights(begun)
    trained(tmp_path, init_from=str(other))
    assert "already trained" in capsys.readouterr().err
    arguments = json.loads((other / "model.json").read_text())["generator"]
    save_model(other, build_generator(**arguments, seed=9), {"generator": arguments})
    trained(tmp_path, init_from=str(other))
    assert "already trained" not in capsys.readouterr().err
    assert not torch.equal(before["first_conv.weight"], weights(begun)["first_conv.weight"])


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "another network": (
        {"generator": {"name": "unet_32"}},
        r"init_from: no kernel of .*model has the name and shape of one of this network: down_convs.0.weight \[4, 1, "
        r"4, 4\], there .*Choose a model of the same generator",
    ),
    "no layer": ({"freeze": ["encoder"]}, "freeze: 'encoder' is no layer that is taken from .* has first_conv, "),
    "half a name": ({"freeze": ["first"]}, "freeze: 'first' is no layer"),
    "all": (
        {
            "freeze": [
                "first_conv",
                "first_norm",
                "down_convs",
                "down_norms",
                "blocks",
                "up_convs",
                "up_norms",
                "last_conv",
            ]
        },
        "nothing is left to train. Name fewer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taken_is_refused(other: Path, tmp_path: Path, case: str) -> None:
    more, words = REFUSED[case]
    with pytest.raises(ConfigError, match=words):
        trained(tmp_path, init_from=str(other), **more)
    assert not (tmp_path / "model" / "model.json").exists()


def test_a_model_that_is_not_there_or_is_the_output_is_refused(other: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such model directory"):
        trained(tmp_path, init_from=str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=str(other)):
        train_model(tmp_path / "p", tiny("feedforward", init_from=str(other)), 0, other, device="cpu")


@pytest.mark.parametrize(
    ("family", "more", "words"),
    [
        ("baseline", {"init_from": "models/m", "generator": {"name": "pointwise"}}, "init_from must be left out"),
        ("feedforward", {"freeze": ["first_conv"]}, "freeze needs init_from"),
        ("feedforward", {"init_from": "~/m"}, "not expanded"),
    ],
)
def test_settings_that_mean_nothing_are_refused(family: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        tiny(family, **more)


def test_every_trained_family_can_start_from_its_own_model(tmp_path: Path) -> None:
    """By name, for the networks that each builds."""
    from training_cases import settings_of

    from txm2sem_core.checkpoint import fit_weights, shapes_of
    from txm2sem_core.config.families import built_in

    for name, rules in built_in().items():
        if rules.trained:
            settings: TrainSettings = settings_of(name)
            shapes = shapes_of(family_of(settings).generator_arguments())
            assert set(fit_weights(shapes, shapes, [], "m").taken) == shapes.keys()
