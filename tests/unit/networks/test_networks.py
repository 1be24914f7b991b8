"""What can be built, what cannot and says so, seeds, receptive fields by the support of gradients, and baselines."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.networks import (
    Baseline,
    GeneratorOptions,
    ImageGenerator,
    build_discriminator,
    build_generator,
    generator_names,
    register_generator,
    registry,
)
from txm2sem_core.networks.filters import real_power

PUBLISHED = ["unet_128", "unet_256", "resnet_6blocks", "resnet_9blocks", "linearfilt", "gammafilt"]


def random_images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


# --- building


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("in_channels", [1, 5])
def test_generators_keep_the_size_and_take_neighbouring_slices(name: str, in_channels: int) -> None:
    network = build_generator(name, in_channels=in_channels, width=2, seed=0).eval()
    size = 256 if name.startswith("unet") else 32
    assert network(random_images(1, in_channels, size, size)).shape == (1, 1, size, size)


@pytest.mark.parametrize("factor", [1, 2, 4, 8])
def test_super_resolution_enlarges_by_its_factor(factor: int) -> None:
    network = build_generator("sr_resnet_6blocks", factor=factor, width=4, seed=0)
    assert network.factor == factor
    assert network(random_images(2, 1, 8, 11)).shape == (2, 1, 8 * factor, 11 * factor)


def test_options_change_what_is_built() -> None:
    def kinds(**options: object) -> set[str]:
        return {type(layer).__name__ for layer in build_generator("resnet_6blocks", width=2, **options).modules()}

    assert "BatchNorm2d" in kinds()
    assert "InstanceNorm2d" in kinds(norm="instance")
    assert not {"BatchNorm2d", "InstanceNorm2d"} & kinds(norm="none")
    assert build_generator("unet_128", width=2, norm="instance").uses_image_statistics


@pytest.mark.parametrize("name", ["unet_128", "resnet_6blocks", "sr_resnet_6blocks"])
def test_dropout_acts_in_training_only(name: str) -> None:
    network = build_generator(name, width=4, dropout=True, init="kaiming", norm="none", seed=0)
    x = random_images(1, 1, 128, 128)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_state_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one, same, other = (build_generator("unet_32", width=2, seed=seed).state_dict() for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert not torch.equal(one["down_convs.0.weight"], other["down_convs.0.weight"])


def test_without_a_seed_weights_follow_from_the_global_state() -> None:
    torch.manual_seed(3)
    one = build_generator("linearfilt").state_dict()["filter.weight"]
    torch.manual_seed(3)
    assert torch.equal(one, build_generator("linearfilt").state_dict()["filter.weight"])


FAN_IN, FAN_OUT = 128 * 16, 256 * 16  # of a 4x4 convolution from 128 to 256 channels


@pytest.mark.parametrize(
    ("init", "spread"),
    [("normal", 0.02), ("xavier", 0.02 * (2 / (FAN_IN + FAN_OUT)) ** 0.5), ("kaiming", (2 / FAN_IN) ** 0.5)],
)
def test_initialisations_have_their_spread(init: str, spread: float) -> None:
    weight = build_discriminator("n_layers", in_channels=1, layers=2, width=128, init=init, seed=0).convs[0].weight
    assert weight.shape[:2] == (256, 128)
    assert weight.std().item() == pytest.approx(spread, rel=0.02)


def test_orthogonal_initialisation() -> None:
    weight = build_generator("resnet_1blocks", width=4, init="orthogonal", init_gain=0.5, seed=0).blocks[0].conv1.weight
    rows = weight.flatten(1)
    torch.testing.assert_close(rows @ rows.T, 0.25 * torch.eye(16), atol=1e-6, rtol=0)


# --- mistakes


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "unet_129"}, ["unet_129", "unet_128"]),
        ({"name": "sr_resnet_6blocks", "factor": 3}, ["factor", "3", "1, 2, 4, 8"]),
        ({"name": "unet_128", "factor": 2}, ["factor", "unet_128", "sr_resnet_6blocks"]),
        ({"name": "unet_128", "norm": "group"}, ["norm", "group", "batch, instance, none"]),
        ({"name": "unet_128", "width": 0}, ["width", "0"]),
        ({"name": "unet_128", "in_channels": True}, ["in_channels", "True"]),
        ({"name": "unet_128", "init": "uniform"}, ["init", "uniform", "orthogonal"]),
        ({"name": "constant", "in_channels": 2}, ["in_channels 2", "odd"]),
        ({"name": "identity", "factor": 2}, ["factor", "identity"]),
    ],
)
def test_what_cannot_be_built_says_why(options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        build_generator(**options)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "patch"}, ["patch", "basic"]),
        ({"name": "basic", "layers": 4}, ["layers", "4", "n_layers"]),
        ({"name": "pixel", "norm": "layer"}, ["norm", "layer"]),
    ],
)
def test_what_cannot_be_discriminated_says_why(options: dict[str, object], words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        build_discriminator(**options, in_channels=2)
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize(
    ("name", "shape", "words"),
    [
        ("unet_256", (1, 1, 128, 256), ["128 x 256", "Y = 128", "256"]),
        ("unet_128", (1, 1, 256, 200), ["X = 200", "multiple of 128", "Use 128 or 256"]),
        ("resnet_6blocks", (1, 1, 4, 64), ["Y = 4", "at least 8"]),
        ("resnet_6blocks", (1, 3, 64, 64), ["[B, 1, Y, X]", "[1, 3, 64, 64]"]),
        ("sr_resnet_6blocks", (1, 1, 4, 64), ["Y = 4", "at least 5"]),
        ("constant", (1, 64, 64), ["[1, 64, 64]"]),
    ],
)
def test_inputs_that_do_not_fit_say_why(name: str, shape: tuple[int, ...], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        build_generator(name, width=1)(torch.zeros(shape))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_the_smallest_inputs_can_be_taken() -> None:
    for name in ("unet_32", "resnet_6blocks", "sr_resnet_6blocks", "linearfilt", "residual_unet"):
        network = build_generator(name, width=1, norm="none")
        size = network.minimum_size
        assert network(torch.zeros(1, 1, size, size)).shape[2:] == (size, size)


@pytest.mark.parametrize("layers", [1, 3, 5])
def test_discriminators_say_when_patches_are_too_small(layers: int) -> None:
    network = build_discriminator("n_layers", in_channels=1, layers=layers, width=1, norm="none")
    smallest = 3 * 2**layers
    assert network(torch.zeros(1, 1, smallest, smallest)).shape == (1, 1, 1, 1)
    with pytest.raises(InputError, match=f"needs {smallest}"):
        network(torch.zeros(1, 1, smallest, smallest - 1))


# --- receptive fields


def with_positive_weights(network: nn.Module) -> nn.Module:
    """Every path from an input pixel adds to the outputs that it reaches: gradients cannot cancel."""
    network.double().eval()
    if isinstance(network, Baseline):
        network.fitted.fill_(True)
    for parameter in network.parameters():
        parameter.data.fill_(1.0 / max(parameter[0].numel(), 1) if parameter.ndim == 4 else 0.0)
    return network


@pytest.mark.parametrize(
    ("name", "factor"),
    [("unet_32", 1), ("resnet_3blocks", 1), ("linearfilt", 1), ("bicubic", 2), ("bicubic", 3), ("identity", 1)]
    + [("residual_unet", 1)]
    + [("sr_resnet_2blocks", factor) for factor in (1, 2, 4, 8)],
)
def test_gradients_reach_exactly_the_receptive_radius(name: str, factor: int) -> None:
    network = with_positive_weights(build_generator(name, width=1, norm="none", factor=factor))
    radius = network.receptive_radius_px
    size = -(-(2 * radius + 3 * network.size_multiple + 2) // network.size_multiple) * network.size_multiple
    start = -(-radius // network.size_multiple) * network.size_multiple  # a whole period, clear of the border
    x = torch.full((1, 1, max(8, network.size_multiple), size), 0.01, dtype=torch.float64, requires_grad=True)
    y = network(x)
    reached = 0
    for column in range(start * factor, (start + network.size_multiple) * factor):
        (gradient,) = torch.autograd.grad(y[..., column].sum(), x, retain_graph=True)
        touched = gradient.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
        reached = max(reached, int((touched - column // factor).abs().max()))
    assert reached == radius


def test_published_unet_sees_all_of_its_patch() -> None:
    assert build_generator("unet_128", width=1).receptive_radius_px >= 127


# --- filters


def test_gamma_filter_is_finite_with_finite_gradients_for_every_intensity() -> None:
    network = build_generator("gammafilt", init="xavier", init_gain=1.0, seed=0)
    network.gamma.data.fill_(0.37)
    x = torch.linspace(-1.2, 1.2, 1024).reshape(1, 1, 32, 32).requires_grad_(True)
    y = network(x)
    y.square().mean().backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())
    assert network.gamma.grad.item() != 0


def test_gamma_filter_takes_the_power_of_intensities_from_0_to_1() -> None:
    network = build_generator("gammafilt", seed=0)
    network.gamma.data.fill_(2.0)
    with torch.no_grad():
        network.filter.weight.zero_()
        network.filter.weight[0, 0, 7, 7] = 1.0
    x = random_images(1, 1, 16, 16)
    torch.testing.assert_close(network(x), ((x + 1) / 2) ** 2)


@pytest.mark.parametrize("exponent", [-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 0.5, 1.7])
def test_real_power_is_the_power_where_there_is_one(exponent: float) -> None:
    base = torch.tensor([-2.0, -0.5, 0.5, 2.0])
    power = torch.pow(base, exponent)
    expected = torch.where(power.isnan(), 0.0, power)
    torch.testing.assert_close(real_power(base, torch.tensor([exponent])), expected)


# --- one's own generator


def test_a_generator_of_ones_own_in_one_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_generators", dict(registry._generators))

    class Doubled(ImageGenerator):
        def __init__(self, options: GeneratorOptions) -> None:
            super().__init__(in_channels=options.in_channels, out_channels=1, receptive_radius_px=0)

        def forward(self, x: Tensor) -> Tensor:
            self.check_input(x)
            return 2 * x

    @register_generator("doubled")
    def doubled(options: GeneratorOptions) -> Doubled:
        return Doubled(options)

    x = random_images(1, 1, 5, 5)
    assert torch.equal(build_generator("doubled")(x), 2 * x)
    assert "doubled" in generator_names()
    with pytest.raises(ConfigError, match="registered already"):
        register_generator("doubled")

    register_generator("foreign")(lambda _options: nn.Identity())
    with pytest.raises(ConfigError, match="ImageGenerator"):
        build_generator("foreign")


# --- baselines


def test_a_baseline_that_was_not_fitted_predicts_nothing() -> None:
    with pytest.raises(InputError, match="not been fitted"):
        build_generator("constant")(torch.zeros(1, 1, 8, 8))


def fitted(name: str, x: Tensor, y: Tensor, mask: Tensor | None = None, **options: int) -> Baseline:
    baseline = build_generator(name, **options)
    assert isinstance(baseline, Baseline)
    baseline.fit(x, y, mask)
    return baseline


def test_constant_is_the_mean_of_what_the_mask_counts() -> None:
    x, y = random_images(3, 1, 8, 8), random_images(3, 1, 16, 16, seed=1)
    mask = torch.rand(y.shape, generator=torch.Generator().manual_seed(2)) > 0.5
    prediction = fitted("constant", x, y, mask, factor=2)(x)
    torch.testing.assert_close(prediction, torch.full_like(y, y[mask].mean().item()))


@pytest.mark.parametrize("gain", [0.4, -0.7])
def test_identity_matches_moments_and_finds_an_inverted_contrast(gain: float) -> None:
    x = random_images(4, 1, 32, 32)
    y = gain * x + 0.1 + 0.05 * random_images(4, 1, 32, 32, seed=1)
    prediction = fitted("identity", x, y)(x)
    assert prediction.mean().item() == pytest.approx(y.mean().item(), abs=1e-5)
    assert prediction.std().item() == pytest.approx(y.std().item(), rel=1e-4)
    assert torch.corrcoef(torch.stack([prediction.flatten(), y.flatten()]))[0, 1] > 0.9


def test_identity_of_a_flat_image_is_the_mean() -> None:
    x, y = torch.zeros(1, 1, 8, 8), random_images(1, 1, 8, 8)
    torch.testing.assert_close(fitted("identity", x, y)(x), torch.full_like(y, y.mean().item()))


def test_pointwise_finds_a_map_that_is_not_monotone() -> None:
    x = random_images(8, 1, 64, 64)
    noise = 0.05 * random_images(8, 1, 64, 64, seed=1)
    truth = torch.cos(3 * x) * 0.5
    baseline = fitted("pointwise", x, truth + noise)
    assert (baseline(x) - truth).abs().max() < 0.02
    outside = baseline(torch.tensor([-3.0, 3.0]).reshape(1, 1, 1, 2))
    torch.testing.assert_close(
        outside.flatten(), baseline(torch.tensor([[[[-1.0, 1.0]]]])).flatten(), atol=0.01, rtol=0
    )


def test_pointwise_of_few_grey_levels_is_their_mean() -> None:
    levels = torch.tensor([-1.0, -0.2, 0.3])
    place = torch.randint(0, 3, (2, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    x, y = levels[place], random_images(2, 1, 32, 32, seed=1)
    prediction = fitted("pointwise", x, y)(x)
    for index in range(3):
        torch.testing.assert_close(prediction[place == index].unique().item(), y[place == index].mean().item())


def test_pointwise_beats_every_affine_map_of_the_same_pixels() -> None:
    x = random_images(4, 1, 64, 64)
    y = (x**2 - 0.3 + 0.1 * random_images(4, 1, 64, 64, seed=1)).clamp(-1, 1)
    errors = {name: (fitted(name, x, y)(x) - y).square().mean() for name in ("constant", "identity", "pointwise")}
    assert errors["pointwise"] < 0.2 * min(errors["constant"], errors["identity"])


def test_bicubic_enlarges_and_matches() -> None:
    ramp = torch.linspace(-1, 1, 64).expand(1, 1, 64, 64)
    x = nn.functional.avg_pool2d(ramp, 4)
    prediction = fitted("bicubic", x, -0.5 * ramp, factor=4)(x)
    inside = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(prediction[inside], -0.5 * ramp[inside], atol=0.02, rtol=0)


def test_baselines_look_at_the_middle_slice_and_have_nothing_to_train() -> None:
    x, y = random_images(2, 3, 8, 8), random_images(2, 1, 8, 8, seed=1)
    alone, among = fitted("pointwise", x[:, 1:2], y), fitted("pointwise", x, y, in_channels=3)
    assert torch.equal(alone(x[:, 1:2]), among(x))
    assert not list(among.parameters())
    assert among.fitted


@pytest.mark.parametrize(("case", "words"), [("shape", ["y has the shape"]), ("mask", ["leaves no pixel"])])
def test_baselines_refuse_what_cannot_be_fitted(case: str, words: list[str]) -> None:
    x, y = random_images(2, 1, 8, 8), random_images(2, 1, 8, 8, seed=1)
    target, mask = (y[..., :4], None) if case == "shape" else (y, torch.zeros_like(y))
    with pytest.raises(InputError) as caught:
        fitted("identity", x, target, mask)
    assert all(word in str(caught.value) for word in words)
