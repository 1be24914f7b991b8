"""Both estimators against the exact Jacobian, their scale, and the pair of forward passes that must be one function."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from seeded_draws import draws
from torch import Tensor, nn
from torch.func import jacrev, vmap

from txm2sem_core.errors import ConfigError
from txm2sem_core.families.z_penalty import JACOBIAN_PENALTIES, Repeatable, perturbation, projection
from txm2sem_core.networks import build_generator

Network = Callable[[Tensor], Tensor]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def two_layers(w1: Tensor, w2: Tensor) -> Network:
    return lambda x: torch.tanh(x @ w1.T) @ w2.T


def small_network() -> tuple[Network, Tensor]:
    w1, w2, x = (torch.randn(shape, generator=rng(seed)) for seed, shape in enumerate([(12, 5), (7, 12), (4, 5)]))
    return two_layers(w1, w2), x


def exact(network: Network, x: Tensor) -> float:
    """Half the squared Frobenius norm of the Jacobian, averaged over the batch."""
    jacobians = vmap(jacrev(lambda one: network(one[None])[0]))(x)
    return 0.5 * jacobians.square().sum().item() / len(x)


def estimates(kind: str, network: Network, x: Tensor, times: int, **options: object) -> np.ndarray:
    x = x.clone().requires_grad_(True)
    y = network(x)
    source = draws(1)
    return np.array([JACOBIAN_PENALTIES[kind](network, x, y, source, **options).item() for _ in range(times)])


@pytest.mark.parametrize("kind", JACOBIAN_PENALTIES)
def test_estimates_average_to_the_exact_norm(kind: str) -> None:
    network, x = small_network()
    values = estimates(kind, network, x, 1500, reduction="sum")
    error = values.std(ddof=1) / len(values) ** 0.5
    assert abs(values.mean() - exact(network, x)) < 4 * error
    assert error < 0.03 * exact(network, x)


@pytest.mark.parametrize("kind", JACOBIAN_PENALTIES)
def test_estimates_average_to_the_published_exact_value(kind: str, reference_fixtures: Path) -> None:
    values = np.load(reference_fixtures / "losses.npz")
    w1, w2, x = (torch.from_numpy(values[key]) for key in ("W1", "W2", "x"))
    truth = float(values["jacobian_exact"])
    assert exact(two_layers(w1, w2), x) == pytest.approx(truth, rel=1e-5)
    found = estimates(kind, two_layers(w1, w2), x, 1500, reduction="sum")
    assert abs(found.mean() - truth) < 4 * found.std(ddof=1) / len(found) ** 0.5


@pytest.mark.parametrize("kind", JACOBIAN_PENALTIES)
def test_estimates_on_an_image_network_average_to_the_exact_norm(kind: str) -> None:
    network = build_generator("resnet_1blocks", width=2, norm="batch", init="xavier", init_gain=1.0, seed=0).eval()
    x = torch.rand((1, 1, 12, 12), generator=rng(3)) * 2 - 1
    values = estimates(kind, network, x, 400, reduction="sum")
    assert abs(values.mean() - exact(network, x)) < 4 * values.std(ddof=1) / len(values) ** 0.5


@pytest.mark.parametrize("kind", JACOBIAN_PENALTIES)
def test_mean_means_the_same_at_every_patch_size_and_paper_grows_with_the_area(kind: str) -> None:
    def gain(x: Tensor) -> Tensor:
        return 0.3 * x

    for size in (8, 32):
        x = torch.rand((2, 1, size, size), generator=rng(size))
        assert estimates(kind, gain, x, 1, reduction="mean")[0] == pytest.approx(0.5 * 0.09, rel=1e-3)
        assert estimates(kind, gain, x, 1, reduction="sum")[0] == pytest.approx(0.5 * 0.09 * size**2, rel=1e-3)


@pytest.mark.parametrize("kind", JACOBIAN_PENALTIES)
def test_the_weights_gradient_averages_to_the_exact_gradient(kind: str) -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    for index, parameter in enumerate(network.parameters()):
        parameter.data = torch.randn(parameter.shape, generator=rng(index))
    x = torch.randn((3, 3), generator=rng(9)).requires_grad_(True)
    weight = network[0].weight
    jacobians = torch.stack(
        [torch.autograd.grad(network(x)[:, out].sum(), x, create_graph=True)[0] for out in range(2)]
    )
    (truth,) = torch.autograd.grad(0.5 * jacobians.square().sum() / len(x), weight)
    source = draws(1)
    found = torch.stack(
        [
            torch.autograd.grad(JACOBIAN_PENALTIES[kind](network, x, network(x), source, reduction="sum"), weight)[0]
            for _ in range(800)
        ]
    )
    standard_error = found.std(dim=0) / len(found) ** 0.5
    assert ((found.mean(dim=0) - truth).abs() < 4.5 * standard_error + 1e-3).all()


@pytest.mark.parametrize("kind", JACOBIAN_PENALTIES)
def test_the_same_seed_gives_the_same_penalty_and_touches_no_global_state(kind: str) -> None:
    network, x = small_network()
    before = torch.get_rng_state()
    first, second = estimates(kind, network, x, 2), estimates(kind, network, x, 2)
    assert (first == second).all()
    assert first[0] != first[1]
    assert torch.equal(torch.get_rng_state(), before)


def test_mistakes_are_named() -> None:
    network, x = small_network()
    with pytest.raises(ConfigError, match=r"'total' is not known\. Choose one of sum, mean"):
        perturbation(network, x, network(x), draws(), reduction="total")
    with pytest.raises(ValueError, match="require a gradient"):
        projection(network, x, network(x), draws())
    dropping = nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.5))
    with pytest.raises(ValueError, match="Repeatable"):
        perturbation(dropping, x, dropping(x), draws())


def with_dropout() -> nn.Module:
    return build_generator("resnet_1blocks", width=2, dropout=True, init="xavier", init_gain=1.0, seed=0).train()


def test_repeatable_repeats_dropout_and_records_the_first_pass_only() -> None:
    x = torch.rand((2, 1, 32, 32), generator=rng(3))
    network, twin = with_dropout(), with_dropout()
    torch.manual_seed(0)
    plain = twin(x)
    after_one_call = torch.get_rng_state()

    torch.manual_seed(0)
    repeatable = Repeatable(network)
    first, again = repeatable(x), repeatable(x)
    assert torch.equal(first, plain)
    assert torch.equal(again, first)
    assert torch.equal(torch.get_rng_state(), after_one_call)
    assert all(torch.equal(value, twin.state_dict()[key]) for key, value in network.state_dict().items())
    assert all(layer.track_running_stats for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
    assert not torch.equal(Repeatable(network)(x), first)


def test_repeatable_uses_running_statistics_in_evaluation() -> None:
    network = with_dropout().eval()
    x = torch.rand((2, 1, 32, 32), generator=rng(3))
    repeatable = Repeatable(network)
    assert torch.equal(repeatable(x), repeatable(x))


def test_perturbation_of_a_training_network_agrees_with_projection() -> None:
    """Dropout that differed between the passes would be divided by the small step, and drown all else."""
    x = torch.rand((2, 1, 16, 16), generator=rng(3)).requires_grad_(True)
    torch.manual_seed(0)
    repeatable = Repeatable(with_dropout())
    y = repeatable(x)
    source = draws(1)
    found = {
        kind: torch.stack([penalty(repeatable, x, y, source).detach() for _ in range(200)])
        for kind, penalty in JACOBIAN_PENALTIES.items()
    }
    error = sum(values.var() / len(values) for values in found.values()) ** 0.5
    assert (found["projection"].mean() - found["perturbation"].mean()).abs() < 4 * error
