"""The published architectures a second time, as plain numbered sequences whose state dicts have the published names.

Written from the descriptions of the networks, to hold our named modules and the reading of checkpoints against.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

Norm = Callable[[int], nn.Module]


def norm_layer(norm: str) -> tuple[Norm, bool]:
    """The layer, and whether convolutions beside it have a bias."""
    layers: dict[str, Norm] = {
        "batch": nn.BatchNorm2d,
        "instance": nn.InstanceNorm2d,
        "none": lambda _channels: nn.Identity(),
    }
    return layers[norm], norm == "instance"


class Residual(nn.Module):
    def __init__(self, channels: int, norm: str, dropout: bool, activation: type[nn.Module]) -> None:
        super().__init__()
        layer, bias = norm_layer(norm)
        half = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), layer(channels)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), layer(channels)]
        self.conv_block = nn.Sequential(*half, activation(), *([nn.Dropout(0.5)] if dropout else []), *again)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class SequentialResNet(nn.Module):
    def __init__(self, width: int, blocks: int, norm: str, dropout: bool) -> None:
        super().__init__()
        layer, bias = norm_layer(norm)
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(1, width, 7, bias=bias), layer(width), nn.ReLU()]
        for channels in (width, 2 * width):
            down = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=bias)
            layers += [down, layer(2 * channels), nn.ReLU()]
        layers += [Residual(4 * width, norm, dropout, nn.ReLU) for _ in range(blocks)]
        for channels in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1, bias=bias)
            layers += [up, layer(channels // 2), nn.ReLU()]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class SequentialSRResNet(nn.Module):
    def __init__(self, width: int, blocks: int, norm: str, dropout: bool, doublings: int) -> None:
        super().__init__()
        layer, bias = norm_layer(norm)
        self.premodel = nn.Sequential(nn.ReflectionPad2d(4), nn.Conv2d(1, width, 9, bias=bias), nn.PReLU())
        residuals = [Residual(width, norm, dropout, nn.PReLU) for _ in range(blocks)]
        last = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=bias), layer(width)]
        self.model = nn.Sequential(*residuals, *last)
        layers: list[nn.Module] = []
        for _ in range(doublings):
            layers += [nn.Conv2d(width, 4 * width, 3, padding=1, bias=bias), nn.PixelShuffle(2), nn.PReLU()]
        self.upsample = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 1, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        x = self.premodel(x)
        return self.upsample(x + self.model(x))


class NestedLevel(nn.Module):
    """One level of a U-Net around the levels inside it."""

    def __init__(self, level: int, depth: int, width: int, norm: str, dropout: bool) -> None:
        super().__init__()
        layer, bias = norm_layer(norm)
        self.outermost = level == 0
        innermost = level == depth - 1
        inner = width * min(2**level, 8)
        outer = 1 if self.outermost else width * min(2 ** (level - 1), 8)
        joined = inner if innermost else 2 * inner
        down: list[nn.Module] = [nn.Conv2d(outer, inner, 4, stride=2, padding=1, bias=bias)]
        up: list[nn.Module] = [nn.ReLU()]
        up += [nn.ConvTranspose2d(joined, outer, 4, stride=2, padding=1, bias=bias or self.outermost)]
        if not self.outermost:
            down.insert(0, nn.LeakyReLU(0.2))
            up += [layer(outer)]
        else:
            up += [nn.Tanh()]
        if not self.outermost and not innermost:
            down += [layer(inner)]
            up += [nn.Dropout(0.5)] if dropout and level >= 4 else []
        inside = [] if innermost else [NestedLevel(level + 1, depth, width, norm, dropout)]
        self.model = nn.Sequential(*down, *inside, *up)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], dim=1)


class NestedUNet(nn.Module):
    def __init__(self, depth: int, width: int, norm: str, dropout: bool) -> None:
        super().__init__()
        self.model = NestedLevel(0, depth, width, norm, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class SequentialDiscriminator(nn.Module):
    def __init__(self, width: int, layers: int, norm: str) -> None:
        super().__init__()
        layer, bias = norm_layer(norm)
        sequence: list[nn.Module] = [nn.Conv2d(2, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for index in range(1, layers + 1):
            before, after = (width * min(2**power, 8) for power in (index - 1, index))
            stride = 1 if index == layers else 2
            sequence += [nn.Conv2d(before, after, 4, stride, 1, bias=bias), layer(after), nn.LeakyReLU(0.2)]
        self.model = nn.Sequential(*sequence, nn.Conv2d(after, 1, 4, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class SequentialPixelDiscriminator(nn.Module):
    def __init__(self, width: int, norm: str) -> None:
        super().__init__()
        layer, bias = norm_layer(norm)
        judge = [nn.Conv2d(2, width, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, 2 * width, 1, bias=bias)]
        self.net = nn.Sequential(*judge, layer(2 * width), nn.LeakyReLU(0.2), nn.Conv2d(2 * width, 1, 1, bias=bias))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class SequentialFilter(nn.Module):
    def __init__(self, gamma: float | None) -> None:
        super().__init__()
        if gamma is not None:
            self.gamma = nn.Parameter(torch.tensor([gamma]))
        self.nonlinear = gamma is not None
        self.filter = nn.Conv2d(1, 1, 15, padding=7)

    def forward(self, x: Tensor) -> Tensor:
        return self.filter(torch.pow(x + 1e-16, self.gamma) if self.nonlinear else x)


def randomise(network: nn.Module, seed: int) -> nn.Module:
    """Give every weight, norm statistic and slope its own value; evaluation mode."""
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=rng) + 0.5)
        elif tensor.is_floating_point() and name != "gamma":
            spread = 1.5 / tensor[0].numel() ** 0.5 if tensor.ndim == 4 else 0.5  # keeps the signal alive
            tensor.copy_(torch.randn(tensor.shape, generator=rng) * spread)
    return network.eval()
