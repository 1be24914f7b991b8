"""Layers that get an image in bands of rows, from top to bottom, and compute their rows as soon as possible.

    rows of the input     ....|....|....|          each layer computes the rows that its input allows, keeps the few
    first layer            ...|....|....|.         input rows that its kernel still needs, and passes its rows on. So
    second layer            ..|....|....|..        every value of every layer is computed once, and only some rows of
    skip                       waiting|            each layer are in memory at a time

A layer is a generator that asks the layer before it for the next band. The rows of a skip connection wait in a
`RowQueue`. A norm that needs statistics of the whole image first stores all of its rows. Results equal those of the
whole image, also at its borders, except for rounding: PyTorch may sum in another order for another size.

A layer passes on an image together with the waiting rows of a skip connection. The next layer adds or joins them while
it reads or writes them, which saves a copy. A layer that waits for its next band holds no image: it releases its input
(`del`) and its output (`pop`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core.acceleration.convolutions import FewChannelConv2d, FewChannelConvTranspose2d, on_cpu_without_autocast
from txm2sem_core.acceleration.padded import write_activated
from txm2sem_core.acceleration.row_queue import RowQueue, WaitingMemory
from txm2sem_core.acceleration.winograd import SIDE, WinogradConv2d
from txm2sem_core.networks.residual_unet import enlarge

Images = tuple[Tensor, ...]
"""Rows of an image, `[B, C, rows, X]`, and the same rows of one that waited, if any, in pieces."""
Rows = Iterator[Images]
"""The rows of a whole image, in order."""
Write = Callable[[Tensor, Images], None]
"""Writes what a layer reads, made of the images that it is given, into its first argument."""


def empty(like: Tensor, size: tuple[int, int, int, int]) -> Tensor:
    """Memory for an image, channels innermost on a CPU, and elsewhere where the given one lies so."""
    innermost = like.device.type == "cpu" or (like.shape[1] > 1 and like.stride(1) == 1)
    layout = torch.channels_last if innermost else torch.contiguous_format
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=layout)


def cut(plane: Tensor, rows: int) -> Rows:
    """An image by bands of so many rows."""
    for top in range(0, plane.shape[2], rows):
        yield (plane[:, :, top : top + rows],)


def added(out: Tensor, images: Images) -> None:
    """Write an image, or its sum with what waited beside it."""
    image, *pieces = images
    if not pieces:
        out.copy_(image)
    for top, piece in _placed(pieces):
        bottom = top + piece.shape[2]
        torch.add(image[:, :, top:bottom], piece, out=out[:, :, top:bottom])


def _placed(pieces: list[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """Pieces one below another, each with its first row."""
    top = 0
    for piece in pieces:
        yield top, piece
        top += piece.shape[2]


def activated(activation: nn.Module, dropout: nn.Module | None = None) -> Write:
    """Write dropout(activation(image)), of one image."""

    def write(out: Tensor, images: Images) -> None:
        if dropout is not None and dropout.training:
            out.copy_(dropout(activation(images[0])))
        else:
            write_activated(activation, images[0], out)

    return write


def convolved(layer: nn.Module, rows: Rows, height: int, write: Write, waiting: RowQueue | None = None) -> Rows:
    """The output of a convolution (no dilation) for an image of `height` rows, band by band.

    Args:
        layer: pads by zeros or by reflection.
        rows: its input.
        height: rows of the whole input.
        write: how the input is read.
        waiting: a queue that gets a copy of all rows that are read.
    """
    assert isinstance(layer, nn.Conv2d)
    reach = _Reach(layer, height)
    run = _without_border(layer, reach.margin)
    kept: Tensor | None = None
    for images in rows:
        frame, new = reach.framed(kept, images, write)
        del images
        if waiting is not None:
            waiting.put(new)
        del new
        count = reach.count()
        if not count:
            kept = frame
            continue
        needed = frame[:, :, : (count - 1) * reach.stride + reach.kernel]
        kept = frame[:, :, count * reach.stride :].clone()
        reach.advance(count)
        del frame
        made = [run(needed)]
        del needed
        yield (made.pop(),)


class _Reach:
    """Which input rows a convolution has, and how many output rows it can compute from them.

    Rows are those of the input within its border, the border's first row is 0.

    Attributes:
        first: the first row that the next output row needs.
        end: one after the last row that has come.
        margin: columns of the border that are added here on each side; the layer itself pads with zeros.
    """

    def __init__(self, layer: nn.Conv2d, height: int) -> None:
        assert not isinstance(layer.padding, str)
        self.border, self.kernel, self.stride = int(layer.padding[0]), layer.kernel_size[0], layer.stride[0]
        self.height, self.reflects = height, layer.padding_mode == "reflect"
        self.margin = int(layer.padding[1]) if self.reflects else 0
        self.first, self.end = 0, self.border
        self._together = SIDE if isinstance(layer, (FewChannelConv2d, WinogradConv2d)) else 1  # else much slower

    def count(self) -> int:
        """The number of output rows that can be computed now."""
        count = max((self.end - self.first - self.kernel) // self.stride + 1, 0)
        is_last = self.end == self.height + 2 * self.border
        return count if is_last else count // self._together * self._together

    def advance(self, count: int) -> None:
        """Note that so many output rows were computed."""
        self.first += count * self.stride

    def framed(self, kept: Tensor | None, images: Images, write: Write) -> tuple[Tensor, Tensor]:
        """Rows `first` to `end`, with their borders, once further rows have come; and the new rows without borders.

        `kept` are rows that were there before.
        """
        above = self.border if kept is None else kept.shape[2]
        batch, channels, new, width = images[0].shape
        is_last = self.end + new == self.border + self.height
        below = self.border if is_last else 0
        m = self.margin
        size = (batch, channels, above + new + below, width + 2 * m)
        frame = empty(images[0], size)
        image = frame[:, :, above : above + new, m : m + width]
        write(image, images)
        for near in range(m):
            frame[:, :, above : above + new, near] = frame[:, :, above : above + new, 2 * m - near]
            frame[:, :, above : above + new, -1 - near] = frame[:, :, above : above + new, -1 - 2 * m + near]
        if kept is not None:
            frame[:, :, :above] = kept
        self._add_top(frame, above + new)
        for row in range(above + new, frame.shape[2]):
            frame[:, :, row] = frame[:, :, 2 * (above + new - 1) - row] if self.reflects else 0
        self.end += new + below
        return frame, image

    def _add_top(self, frame: Tensor, end: int) -> None:
        """The border above, as long as it is needed; made again until all rows that it reflects are there."""
        border = self.border - self.first
        if border > 0:
            for row in range(border):
                mirrored = 2 * border - row
                if self.reflects and mirrored < end:
                    frame[:, :, row] = frame[:, :, mirrored]
                elif not self.reflects:
                    frame[:, :, row] = 0


def _without_border(layer: nn.Conv2d, margin: int) -> Callable[[Tensor], Tensor]:
    """The layer without its border above and below, and without one of `margin` columns on each side."""
    bare = copy.copy(layer)  # with the same weights
    assert not isinstance(layer.padding, str)
    columns = int(layer.padding[1]) - margin
    bare.padding, bare.padding_mode = (0, columns), "zeros"
    bare._reversed_padding_repeated_twice = [columns, columns, 0, 0]
    if not isinstance(layer, (FewChannelConv2d, WinogradConv2d)) or columns:
        return bare

    def run(x: Tensor) -> Tensor:
        made: Tensor = layer.inside(x) if on_cpu_without_autocast(x) else bare(x)
        return made

    return run


def enlarged(layer: nn.Module, rows: Rows, height: int) -> Rows:
    """What a transposed convolution (no dilation) makes of an image of `height` rows, with what waited as channels."""
    assert isinstance(layer, nn.ConvTranspose2d)
    padding, stride, kernel = int(layer.padding[0]), layer.stride[0], layer.kernel_size[0]
    full = (height - 1) * stride + kernel + int(layer.output_padding[0])  # with the border that is cut off
    bare = copy.copy(layer)  # with the same weights
    rounding = (stride - kernel) % stride  # the library takes three times as long where rows are no multiple of strides
    bare.padding, bare.output_padding = (0, int(layer.padding[1])), (rounding, int(layer.output_padding[1]))
    kept: Tensor | None = None
    top = 0
    for images in _for_joining(bare, rows):
        count = images[0].shape[2] * stride
        given = _joined(bare, images)
        del images
        made = bare.joined(given) if isinstance(bare, FewChannelConvTranspose2d) else bare(given[0])
        del given
        if kept is not None:
            made[:, :, : kept.shape[2]] += kept
        kept = made[:, :, count:].clone()  # rows to which the next band adds
        if layer.bias is not None:
            kept -= layer.bias[:, None, None]
        stop = top + count if top + count < height * stride else full - padding
        ready = [made[:, :, max(padding - top, 0) : stop - top]]
        del made
        top += count
        if ready[0].shape[2]:
            yield (ready.pop(),)


def interpolated(rows: Rows) -> Rows:
    """Images with twice as many pixels along Y and X, by linear interpolation, as `residual_unet.enlarge` makes them.

    Two rows of the result need the row above or below theirs: the last row waits for the next band.
    """
    kept: Tensor | None = None  # the last two rows, or the one if there are no more
    done = 0  # rows of the result
    top = 0  # row of the input with which `kept` begins
    for (image,) in rows:
        frame = image if kept is None else torch.cat([kept, image], dim=2)
        del image
        stop = 2 * (top + frame.shape[2]) - 1  # the row after it depends on what comes
        made = [enlarge(frame)[:, :, done - 2 * top : stop - 2 * top]]
        done = stop
        kept = frame[:, :, -2:].clone()
        top += frame.shape[2] - kept.shape[2]
        del frame
        yield (made.pop(),)
    assert kept is not None, "an image has rows"
    yield (enlarge(kept)[:, :, done - 2 * top :],)


def _for_joining(layer: nn.ConvTranspose2d, rows: Rows) -> Rows:
    """For layers that join two images without a copy, piece by piece."""
    for images in rows:
        image, *pieces = images
        if not (pieces and isinstance(layer, FewChannelConvTranspose2d)):
            del image, pieces
            handed = [images]
            del images
            yield handed.pop()
            continue
        del images
        for top, piece in _placed(pieces):
            yield image[:, :, top : top + piece.shape[2]], piece
        del image, pieces, piece


def _joined(layer: nn.ConvTranspose2d, images: Images) -> list[Tensor]:
    """What waited, and the image, side by side along channels; apart for layers that join them without a copy."""
    image, *pieces = images
    if not pieces or isinstance(layer, FewChannelConvTranspose2d):
        return [*pieces, image]
    batch, channels, rows, width = image.shape
    waited = pieces[0].shape[1]
    size = (batch, waited + channels, rows, width)
    both = empty(image, size)
    for top, piece in _placed(pieces):
        both[:, :waited, top : top + piece.shape[2]] = piece
    both[:, waited:] = image
    return [both]


def beside(waiting: RowQueue, rows: Rows) -> Rows:
    """The rows that wait beside the same rows of an image."""
    for (image,) in rows:
        both = [(image, *waiting.take(image.shape[2]))]
        del image
        yield both.pop()


def each(function: Callable[[Tensor], Tensor], rows: Rows) -> Rows:
    """A function of single pixels, of every image."""
    for images in rows:
        made = [tuple(map(function, images))]
        del images
        yield made.pop()


def normalised(norm: nn.Module, rows: Rows, memory: WaitingMemory) -> Rows:
    """Images normalised: by fixed statistics, or by those of the whole image, which then waits until they are known."""
    if isinstance(norm, nn.Identity):
        return rows
    if isinstance(norm, nn.BatchNorm2d) and not norm.training:
        return each(norm, rows)
    assert isinstance(norm, (nn.BatchNorm2d, nn.InstanceNorm2d)), "only norms of ours are known"
    return _by_own_statistics(norm, rows, memory)


def _by_own_statistics(norm: nn.BatchNorm2d | nn.InstanceNorm2d, rows: Rows, memory: WaitingMemory) -> Rows:
    """Images normalised by the statistics of one whole image."""
    waiting, statistics = RowQueue(memory), _Statistics()
    for (image,) in rows:
        statistics.add(image)
        waiting.put(image)
        del image
    for image in waiting.take_all():
        # batch norm computes so in half precision as well
        dtype = torch.float64 if image.dtype == torch.float64 else torch.float32
        mean, variance = (each.to(image.device, dtype) for each in (statistics.mean, statistics.variance))
        made = [functional.batch_norm(image, mean, variance, norm.weight, norm.bias, False, 0.0, norm.eps)]
        del image
        yield (made.pop(),)


class _Statistics:
    """Mean and variance of each channel of one image that comes by bands (Chan, Golub and LeVeque 1983), float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = self._squares = torch.zeros((), dtype=torch.float64)

    @property
    def variance(self) -> Tensor:
        """Of all pixels, as norms take it."""
        return self._squares / self.count

    def add(self, band: Tensor) -> None:
        """More rows `[1, C, rows, X]`."""
        assert band.shape[0] == 1, "statistics of one image"
        values = band if band.dtype == torch.float64 else band.float()
        variance, mean = (each.cpu().double() for each in torch.var_mean(values, (0, 2, 3), correction=0))
        new, before = band.shape[2] * band.shape[3], self.count
        self.count += new
        change = mean - self.mean
        self._squares = self._squares + variance * new + change.square() * (before * new / self.count)
        self.mean = self.mean + change * (new / self.count)
