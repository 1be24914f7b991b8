"""Networks by rows that stream through their layers: the same as of a whole image, each value computed once."""

from __future__ import annotations

import copy
import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from same_layers import accelerated, draw
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from txm2sem_core.acceleration.network_streams import by_rows, has_row_stream
from txm2sem_core.acceleration.row_queue import RowQueue, WaitingMemory
from txm2sem_core.acceleration.row_streams import added, convolved, cut, enlarged
from txm2sem_core.acceleration.winograd import WinogradConv2d
from txm2sem_core.inference.memory_budget import MOST_BYTES, activation_bytes, rows_at_once
from txm2sem_core.networks import ImageGenerator, build_generator, inference
from txm2sem_core.networks.unet import UNet

LIMIT = 1e-11  # of float64
MOST_OPERATIONS = 1.15  # times those of one whole pass
SMALL = [("unet_32", 1), ("unet_64", 1), ("resnet_1blocks", 1), ("resnet_3blocks", 1), ("sr_resnet_2blocks", 1)]
SMALL += [("sr_resnet_2blocks", 4), ("residual_unet", 1)]


def by_bands(network: nn.Module, x: Tensor, band: int, memory: WaitingMemory | None = None) -> Tensor:
    memory = memory or WaitingMemory()
    made = torch.cat([rows for (rows,) in by_rows(network, x, band, memory)], dim=2)
    assert memory.held == 0  # nothing waits any more
    return made


def alive(name: str, factor: int = 1, norm: str = "batch") -> ImageGenerator:
    """A network in float64 whose running statistics are not those of a fresh one."""
    network = build_generator(name, seed=0, width=5, norm=norm, factor=factor).double()
    with torch.no_grad():
        for weight in network.parameters():
            if not weight.any():
                weight.normal_(0, 0.1)
    network(draw(2, 1, 64, 64))
    return network.eval()


# --- the same


@settings(max_examples=12, deadline=None)
@given(
    rows=st.integers(1, 5), columns=st.integers(1, 3), band=st.integers(1, 100), most=st.sampled_from([None, 0, 30_000])
)
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize(("name", "factor"), SMALL)
def test_every_network(name: str, factor: int, norm: str, rows: int, columns: int, band: int, most: int | None) -> None:
    """Whatever the size, the bands, and what may wait in memory; accelerated and not, in both modes."""
    network = alive(name, factor, norm)
    least = -(-network.minimum_size // network.size_multiple) * network.size_multiple
    x = draw(1, 1, least + (rows - 1) * network.size_multiple, least + (columns - 1) * network.size_multiple)
    for mode, faster in itertools.product(("evaluation", "batch_statistics"), (False, True)):
        chosen = accelerated(network, training=mode == "batch_statistics") if faster else copy.deepcopy(network)
        with inference(chosen, mode):
            whole = chosen(x)
            made = by_bands(chosen, x, band, WaitingMemory(most))
        assert made.shape == whole.shape
        assert float((made - whole).abs().max()) < LIMIT


def test_wide_layers_take_the_faster_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A U-Net whose middle is computed by minimal filtering, whole and by rows."""
    for module in ("winograd", "strided"):
        monkeypatch.setattr(f"txm2sem_core.acceleration.{module}.FEWEST_PIXELS", 16)
        monkeypatch.setattr(f"txm2sem_core.acceleration.{module}.FEWEST_CHANNELS", 4)
    for name in ("unet_32", "resnet_1blocks"):
        network = accelerated(alive(name))
        x = draw(1, 1, 160, 96)
        with inference(network, "evaluation"):
            whole = network(x)
            for band in (20, 64):
                assert float((by_bands(network, x, band) - whole).abs().max()) < 1e-10


CONVOLUTIONS = [(3, 1, 1, "zeros"), (3, 1, 1, "reflect"), (7, 1, 3, "reflect"), (4, 2, 1, "zeros"), (3, 2, 1, "zeros")]
ENLARGEMENTS = [(4, 2, 1, 0), (3, 2, 1, 1), (3, 2, 1, 0), (2, 2, 0, 0), (5, 3, 2, 1)]


@settings(max_examples=30, deadline=None)
@given(height=st.integers(8, 40), band=st.integers(1, 41), kind=st.sampled_from(CONVOLUTIONS))
def test_a_convolution(height: int, band: int, kind: tuple[int, int, int, str]) -> None:
    kernel, stride, padding, mode = kind
    layer = nn.Conv2d(3, 4, kernel, stride=stride, padding=padding, padding_mode=mode).double()
    for chosen in (layer, WinogradConv2d(3, 4, 3, padding=1, padding_mode="reflect").double()):
        x = draw(1, 3, height, 12)
        with torch.no_grad():
            made = torch.cat([rows for (rows,) in convolved(chosen, cut(x, band), height, added)], dim=2)
            whole = chosen(x)
        assert made.shape == whole.shape
        assert float((made - whole).abs().max()) < LIMIT


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 20), band=st.integers(1, 21), kind=st.sampled_from(ENLARGEMENTS))
def test_a_transposed_convolution(height: int, band: int, kind: tuple[int, int, int, int]) -> None:
    kernel, stride, padding, more = kind
    layer = nn.ConvTranspose2d(3, 4, kernel, stride, padding, output_padding=more).double()
    x = draw(1, 3, height, 12)
    with torch.no_grad():
        made = torch.cat([rows for (rows,) in enlarged(layer, cut(x, band), height)], dim=2)
        whole = layer(x)
    assert made.shape == whole.shape
    assert float((made - whole).abs().max()) < LIMIT


def test_in_half_precision() -> None:
    network = accelerated(alive("resnet_1blocks").float())
    x = draw(1, 1, 64, 64).float()
    with inference(network, "evaluation"):
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            whole, made = network(x), by_bands(network, x, 24)
    assert made.dtype == torch.bfloat16
    assert float((made.float() - exact).abs().max()) < 2 * float((whole.float() - exact).abs().max())


# --- once


def operations(network: nn.Module, side: int, rows: int | None) -> int:
    """Of all layers for a plane of that side, by shapes alone: nothing is computed."""
    x = torch.empty(1, 1, side, side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        if rows is None:
            network(x)
        else:
            by_bands(network, x, rows)
    return counter.get_total_flops()


@pytest.mark.parametrize(("width", "side"), [(64, 512), (64, 2048), (16, 8192)])
@pytest.mark.parametrize("name", ["resnet_9blocks", "resnet_6blocks", "unet_128", "unet_256", "sr_resnet_9blocks"])
def test_no_plane_takes_many_more_operations(name: str, width: int, side: int) -> None:
    """By as many rows as the predictor chooses, and of a small plane by 32."""
    factor = 2 if name.startswith("sr_") else 1
    network = build_generator(name, seed=0, width=width, factor=factor).eval().to("meta")
    once = operations(network, side, None)
    chosen = rows_at_once(side, side, activation_bytes(1, width, factor), MOST_BYTES)
    for rows in {chosen, 32} if side == 512 else {chosen}:
        assert once <= operations(network, side, rows) <= MOST_OPERATIONS * once


def test_only_our_own_classes_have_one() -> None:
    class Derived(UNet):
        pass

    network = build_generator("unet_32", seed=0, width=2)
    assert has_row_stream(network)
    network.__class__ = Derived
    assert not has_row_stream(network)
    assert not has_row_stream(build_generator("identity", seed=0))


# --- rows that wait


@settings(max_examples=40, deadline=None)
@given(puts=st.lists(st.integers(1, 9), min_size=1, max_size=8), most=st.integers(0, 3000), data=st.data())
def test_rows_come_out_in_order(puts: list[int], most: int, data: st.DataObject) -> None:
    memory = WaitingMemory(most)
    queue, image = RowQueue(memory), draw(1, 3, sum(puts), 5)
    top = 0
    for rows in puts:
        queue.put(image[:, :, top : top + rows])
        top += rows
        assert memory.held <= most
    taken = 0
    while taken < top:
        rows = data.draw(st.integers(1, top - taken))
        assert torch.equal(torch.cat(list(queue.take(rows)), dim=2), image[:, :, taken : taken + rows])
        taken += rows
    assert memory.held == 0


def test_files_are_gone_once_they_are_read(tmp_path: Path) -> None:
    memory = WaitingMemory(0, folder=str(tmp_path))
    queue = RowQueue(memory)
    for dtype in (torch.float32, torch.bfloat16):
        band = draw(1, 3, 4, 5).to(dtype)
        queue.put(band)
        assert memory.written > 0
        assert torch.equal(next(queue.take(4)), band)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_too_little_memory(tmp_path: Path) -> None:
    with pytest.raises(MemoryError, match="temporary files"):
        RowQueue(WaitingMemory(0, folder=str(tmp_path / "none"))).put(draw(1, 1, 1, 1))
