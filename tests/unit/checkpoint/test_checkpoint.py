"""Published weights against a second implementation and the published outputs; files that are hostile or damaged."""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sequential_networks import (
    NestedUNet,
    SequentialDiscriminator,
    SequentialFilter,
    SequentialPixelDiscriminator,
    SequentialResNet,
    SequentialSRResNet,
    randomise,
)
from torch import Tensor, nn

from txm2sem_core.checkpoint import (
    import_reference_weights,
    load_model,
    load_training_state,
    save_model,
    save_training_state,
)
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.networks import Baseline, build_generator

NORMS = ["batch", "instance", "none"]
TOLERANCE = 1e-5


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def same_output(tmp_path: Path, published: nn.Module, x: Tensor, **expected: object) -> None:
    """Save, import, compare the architecture and, where the published output is finite, the output."""
    randomise(published, seed=1)
    path = tmp_path / "latest_net.pth"
    torch.save(published.state_dict(), path)
    network, architecture = import_reference_weights(path)
    assert {key: architecture[key] for key in expected} == expected
    assert not network.training
    with torch.no_grad():  # random weights amplify float32's rounding, which differs with the order of sums
        y, ours = published.double()(x.double()), network.double()(x.double())
    assert y.isfinite().any()
    assert y[y.isfinite()].std() > 0.01  # a comparison of something
    assert ours.isfinite().all()
    torch.testing.assert_close(ours[y.isfinite()], y[y.isfinite()], atol=TOLERANCE, rtol=0)


# --- published networks


def test_imported_fixtures_give_the_published_outputs(reference_fixtures: Path) -> None:
    for entry in json.loads((reference_fixtures / "index.json").read_text()):
        generator = entry["network"] == "generator"
        path = reference_fixtures / f"{entry['name']}_net_{'G' if generator else 'D'}.pth"
        network, architecture = import_reference_weights(path)
        assert architecture["name"] == entry["netG" if generator else "netD"]
        if architecture["name"] != "linearfilt":
            assert architecture["norm"] == entry["norm"]
            assert architecture["width"] == entry["ngf" if generator else "ndf"]
        pair = np.load(reference_fixtures / f"{entry['name']}.npz")
        with torch.no_grad():
            y = network(torch.from_numpy(pair["x"]))
        np.testing.assert_allclose(y.numpy(), pair["y"], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("depth", [7, 8])
@pytest.mark.parametrize("dropout", [False, True])
def test_unets(tmp_path: Path, depth: int, norm: str, dropout: bool) -> None:
    x = random_images(1, 1, 2**depth, 2**depth)
    published = NestedUNet(depth, width=2, norm=norm, dropout=dropout)
    same_output(tmp_path, published, x, name=f"unet_{2**depth}", width=2, norm=norm, factor=1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize(("blocks", "width"), [(6, 3), (9, 1)])
def test_resnets(tmp_path: Path, blocks: int, width: int, norm: str, dropout: bool) -> None:
    published = SequentialResNet(width, blocks, norm, dropout)
    expected = {"name": f"resnet_{blocks}blocks", "width": width, "norm": norm, "dropout": dropout}
    same_output(tmp_path, published, random_images(2, 1, 24, 16), **expected)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize(("blocks", "doublings"), [(6, 0), (6, 1), (9, 2), (6, 3)])
def test_super_resolution_networks(tmp_path: Path, blocks: int, doublings: int, norm: str, dropout: bool) -> None:
    published = SequentialSRResNet(5, blocks, norm, dropout, doublings)
    expected = {"name": f"sr_resnet_{blocks}blocks", "norm": norm, "dropout": dropout, "factor": 2**doublings}
    same_output(tmp_path, published, random_images(2, 1, 12, 16), width=5, **expected)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_patch_discriminators(tmp_path: Path, layers: int, norm: str) -> None:
    published = SequentialDiscriminator(4, layers, norm)
    name = "basic" if layers == 3 else "n_layers"
    same_output(tmp_path, published, random_images(2, 2, 128, 128), name=name, layers=layers, norm=norm, in_channels=2)


@pytest.mark.parametrize("norm", NORMS)
def test_pixel_discriminators(tmp_path: Path, norm: str) -> None:
    published = SequentialPixelDiscriminator(6, norm)
    same_output(tmp_path, published, random_images(2, 2, 16, 16), name="pixel", width=6, norm=norm)


def test_linear_filters(tmp_path: Path) -> None:
    same_output(tmp_path, SequentialFilter(None), random_images(1, 1, 32, 32), name="linearfilt")


@pytest.mark.parametrize("gamma", [-1.0, 0.5, 1.0, 1.7, 2.0, 3.0])
@pytest.mark.parametrize("lowest", [-1.0, 0.0])
def test_gamma_filters_where_the_published_one_is_finite(tmp_path: Path, gamma: float, lowest: float) -> None:
    x = random_images(1, 1, 64, 64)
    x[..., :30] = x[..., :30].abs()
    x = x.clamp_min(lowest + 0.01)
    same_output(tmp_path, SequentialFilter(gamma), x, name="gammafilt")


def test_old_and_parallel_state_dicts(tmp_path: Path) -> None:
    """DataParallel's prefix, running statistics beside instance norm, and no count of batches, from old PyTorch."""
    path = tmp_path / "latest_net_G.pth"
    x = random_images(1, 1, 16, 16)
    for norm in ("instance", "batch"):
        published = randomise(SequentialResNet(3, 6, norm, dropout=True), seed=2)
        state = {f"module.{k}": v for k, v in published.state_dict().items() if not k.endswith("num_batches_tracked")}
        if norm == "instance":
            for name, layer in published.named_modules():
                if isinstance(layer, nn.InstanceNorm2d):
                    state[f"module.{name}.running_mean"] = torch.ones(layer.num_features)
                    state[f"module.{name}.running_var"] = torch.ones(layer.num_features)
                    state[f"module.{name}.num_batches_tracked"] = torch.tensor(5)
        torch.save(OrderedDict(state), path, _use_new_zipfile_serialization=False)
        network, architecture = import_reference_weights(path)
        assert architecture["norm"] == norm
        torch.testing.assert_close(network(x), published(x), atol=TOLERANCE, rtol=0)


def test_overrides(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(randomise(NestedUNet(7, 2, "batch", True), seed=0).state_dict(), path)
    network, architecture = import_reference_weights(path, dropout=True, width=None)
    assert architecture["dropout"] is True
    assert any(isinstance(layer, nn.Dropout) and layer.p == 0.5 for layer in network.modules())
    with pytest.raises(InputError, match="do not fit"):
        import_reference_weights(path, width=3)
    with pytest.raises(InputError, match="layers cannot be given"):
        import_reference_weights(path, layers=2)
    with pytest.raises(ConfigError, match="norm"):
        import_reference_weights(path, norm="group")


# --- hostile and broken published files


class Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("new_format", [False, True])
def test_a_hostile_file_is_refused_and_runs_nothing(tmp_path: Path, new_format: bool) -> None:
    path, marker = tmp_path / "latest_net_G.pth", tmp_path / "attacked"
    hostile = {"filter.weight": torch.zeros(1, 1, 15, 15), "filter.bias": Attack(marker)}
    torch.save(hostile, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(InputError, match="refused"):
        import_reference_weights(path)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the attack is a real one
    assert marker.exists()


def good_state() -> dict[str, Any]:
    return dict(SequentialResNet(2, 6, "instance", False).state_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("model.4.weight"), "model.4.weight is missing"),
        (lambda s: s.update({"model.4.weight": torch.zeros(3, 2, 3, 3)}), "model.4.weight is"),
        (lambda s: s.update({"model.99.weight": torch.zeros(3)}), "model.99.weight has no place"),
        (lambda s: s["model.4.weight"].fill_(float("nan")), "model.4.weight holds values that are not finite"),
        (lambda s: s.update({"model.1.weight": torch.zeros(1).expand(10**9, 1, 7, 7)}), "less data"),
        (lambda s: s.update({"model.1.weight": torch.zeros(4)}), "not a convolution"),
        (lambda s: s.update({"model.1.weight": 3}), "not an ordinary tensor"),
        (lambda s: [s.pop(key) for key in list(s) if "model.1." in key], "not the weights of a published network"),
        (lambda s: [s.pop(key) for key in list(s)], "no state dict"),
        (lambda s: (s.clear(), s.update({"weight": torch.zeros(3)})), "not the weights of a published network"),
        (
            lambda s: (s.clear(), s.update(SequentialResNet(1, 20, "none", False).state_dict())),
            "net.pth: generator: 'resnet_20",
        ),
    ],
)
def test_state_dicts_that_do_not_fit_say_why(tmp_path: Path, change: Any, words: str) -> None:
    state = good_state()
    change(state)
    path = tmp_path / "net.pth"
    torch.save(state, path)
    with pytest.raises((InputError, ConfigError)) as caught:
        import_reference_weights(path)
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken", b"\x80\x02}q\x00."])
def test_files_that_are_no_checkpoint_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"net\.pth"):
        import_reference_weights(path)


def test_a_truncated_or_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(good_state(), path)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match=r"net\.pth"):
        import_reference_weights(path)
    with pytest.raises(InputError, match="no such file"):
        import_reference_weights(tmp_path / "none.pth")
    with pytest.raises(InputError, match="cannot be read"):
        import_reference_weights(tmp_path)


# --- model directories

OPTIONS = {"name": "resnet_6blocks", "width": 2, "norm": "batch", "seed": 4}


def saved_model(directory: Path) -> nn.Module:
    network = randomise(build_generator(**OPTIONS), seed=1)
    save_model(directory, network, {"generator": OPTIONS, "voxel_size_nm": [32.0, 32.0, 32.0]})
    return network


def test_a_saved_model_loads_in_evaluation_mode_with_its_description(tmp_path: Path) -> None:
    network = saved_model(tmp_path / "model")
    loaded = load_model(tmp_path / "model")
    x = random_images(1, 1, 16, 16)
    assert torch.equal(loaded.generator(x), network(x))
    assert not loaded.generator.training
    assert loaded.description["generator"] == OPTIONS
    assert loaded.description["voxel_size_nm"] == [32.0, 32.0, 32.0]
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == ["generator.safetensors", "model.json"]


def test_equal_models_give_equal_bytes(tmp_path: Path) -> None:
    saved_model(tmp_path / "one")
    saved_model(tmp_path / "other")
    saved_model(tmp_path / "other")  # over an earlier one
    for name in ("generator.safetensors", "model.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


@pytest.mark.parametrize(("name", "factor"), [("constant", 2), ("identity", 1), ("pointwise", 1), ("bicubic", 2)])
def test_baselines_are_saved_like_networks(tmp_path: Path, name: str, factor: int) -> None:
    x, y = random_images(2, 1, 8, 8), random_images(2, 1, 8 * factor, 8 * factor, seed=1)
    baseline = build_generator(name, factor=factor)
    assert isinstance(baseline, Baseline)
    baseline.fit(x, y, torch.ones_like(y))
    save_model(tmp_path, baseline, {"generator": {"name": name, "factor": factor}})
    assert torch.equal(load_model(tmp_path).generator(x), baseline(x))


def test_an_imported_gamma_filter_keeps_its_base_when_saved(tmp_path: Path) -> None:
    torch.save(randomise(SequentialFilter(1.7), seed=0).state_dict(), tmp_path / "net.pth")
    network, architecture = import_reference_weights(tmp_path / "net.pth")
    save_model(tmp_path, network, {"generator": architecture})
    x = random_images(1, 1, 16, 16)
    assert torch.equal(load_model(tmp_path).generator(x), network(x))


def edit_description(directory: Path, **changes: object) -> None:
    path = directory / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: (d / "model.json").unlink(), "holds no model.json"),
        (lambda d: (d / "generator.safetensors").unlink(), "holds no generator.safetensors"),
        (lambda d: (d / "model.json").write_text("{"), "not JSON"),
        (lambda d: (d / "model.json").write_text("[]"), "'generator' is missing"),
        (lambda d: edit_description(d, weights_sha256=None), "'weights_sha256' is missing"),
        (lambda d: edit_description(d, weights_sha256="0" * 64), "belong to another model"),
        (lambda d: edit_description(d, generator={**OPTIONS, "width": 3}), "does not belong to the network"),
        (lambda d: edit_description(d, generator={**OPTIONS, "norm": "none"}), "does not belong to the network"),
        (lambda d: edit_description(d, generator={**OPTIONS, "depth": 3}), "key 'generator'"),
        (lambda d: edit_description(d, generator={**OPTIONS, "name": "resnet_6block"}), "resnet_6blocks"),
        (lambda d: (d / "generator.safetensors").write_bytes(b"\0" * 100), "damaged"),
    ],
)
def test_model_directories_that_are_broken_say_why(tmp_path: Path, damage: Any, words: str) -> None:
    saved_model(tmp_path)
    damage(tmp_path)
    with pytest.raises((InputError, ConfigError)) as caught:
        load_model(tmp_path)
    assert words in str(caught.value)


def test_a_missing_model_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model directory"):
        load_model(tmp_path / "none")


def test_a_description_without_a_generator_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="build_generator"):
        save_model(tmp_path / "model", build_generator("linearfilt"), {})
    assert not (tmp_path / "model").exists()


# --- training states


def test_a_training_goes_on_from_its_state_as_if_never_stopped(tmp_path: Path) -> None:
    def fresh() -> tuple[nn.Module, torch.optim.Adam, torch.Generator]:
        network = build_generator("linearfilt", seed=0)
        return network, torch.optim.Adam(network.parameters(), 1e-2), torch.Generator().manual_seed(0)

    def train(network: nn.Module, optimiser: torch.optim.Adam, rng: torch.Generator, steps: int) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            network(torch.rand((1, 1, 16, 16), generator=rng)).square().mean().backward()
            optimiser.step()

    network, optimiser, rng = fresh()
    train(network, optimiser, rng, 3)
    state = {
        "step": 3,
        "network": network.state_dict(),
        "optimiser": optimiser.state_dict(),
        "rng": rng.get_state(),
        "sampler": np.random.default_rng(5).bit_generator.state,  # whole numbers of 128 bits
        "note": [None, True, 1.5, ("a", "b")],
    }
    save_training_state(tmp_path / "state.pt", state)
    train(network, optimiser, rng, 3)

    resumed, optimiser, rng = fresh()
    loaded = load_training_state(tmp_path / "state.pt")
    assert {key: loaded[key] for key in ("step", "sampler", "note")} == {
        key: state[key] for key in ("step", "sampler", "note")
    }
    resumed.load_state_dict(loaded["network"])
    optimiser.load_state_dict(loaded["optimiser"])
    rng.set_state(loaded["rng"])
    train(resumed, optimiser, rng, 3)
    assert torch.equal(resumed.filter.weight, network.filter.weight)


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"a": {"b": np.float64(1)}}, r"state\['a'\]\['b'\]: float64"),
        ({"a": [0, np.zeros(3)]}, r"state\['a'\]\[1\]: ndarray"),
        ({"a": Path("x")}, r"state\['a'\]"),
    ],
)
def test_states_that_could_not_be_loaded_are_not_saved(tmp_path: Path, state: dict[str, Any], place: str) -> None:
    with pytest.raises(TypeError, match=place):
        save_training_state(tmp_path / "state.pt", state)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["flip", "cut", "other"])
def test_damaged_training_states_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "state.pt"
    save_training_state(path, {"weights": torch.arange(1000.0)})
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes({"flip": bytes(data), "cut": bytes(data[:-10]), "other": b"something else"}[damage])
    with pytest.raises(InputError, match=r"state\.pt.*from the\s+beginning"):
        load_training_state(path)


def test_a_training_state_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_training_state(tmp_path / "state.pt")
