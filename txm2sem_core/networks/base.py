"""Attributes of every generator, and the check of its input."""

from __future__ import annotations

from torch import Tensor, nn

from txm2sem_core.errors import InputError


class ImageGenerator(nn.Module):
    """Base of all generators: TXM `[B, in_channels, Y, X]` to SEM `[B, out_channels, factor Y, factor X]`.

    Recorded intensities are in [-1, 1].

    A subclass calls `check_input` at the start of `forward`, so that a wrong size raises an error that names it
    rather than with an error from inside a layer.

    Attributes:
        in_channels: channels of the input; 2k + 1 with a context of k slices below and above.
        out_channels: channels of the output.
        factor: output pixels per input pixel along Y and X.
        size_multiple: Y and X of the input must be multiples of it.
        minimum_size: smallest Y and X of the input, in pixels.
        receptive_radius_px: an output pixel depends on input pixels at most this far away, in input pixels.
        uses_image_statistics: the network normalises by statistics of the image that it is given (instance norm), so
            that in evaluation mode an output also depends, weakly, on all of the input.
        initialises_itself: its first weights do not follow `init` and `init_gain`.
    """

    in_channels: int
    out_channels: int
    factor: int
    size_multiple: int
    minimum_size: int
    receptive_radius_px: int
    uses_image_statistics: bool
    initialises_itself: bool = False

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        receptive_radius_px: int,
        factor: int = 1,
        size_multiple: int = 1,
        minimum_size: int = 1,
        uses_image_statistics: bool = False,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.factor = factor
        self.size_multiple = size_multiple
        self.minimum_size = minimum_size
        self.receptive_radius_px = receptive_radius_px
        self.uses_image_statistics = uses_image_statistics

    def check_size(self, height: int, width: int) -> None:
        """Raise `InputError` unless an input of `height` x `width` pixels can be taken."""
        for axis, size in (("Y", height), ("X", width)):
            if size < self.minimum_size or size % self.size_multiple:
                below = max(size // self.size_multiple * self.size_multiple, self._smallest_size())
                raise InputError(
                    f"{type(self).__name__} cannot take an input of {height} x {width} pixels (Y x X): {axis} = {size} "
                    f"must be a multiple of {self.size_multiple}, at least {self._smallest_size()}. "
                    f"Use {below} or {below + self.size_multiple} pixels along {axis}, or a network with fewer "
                    f"downsamplings."
                )

    def check_input(self, x: Tensor) -> None:
        """Raise `InputError` unless `x` is `[B, in_channels, Y, X]` of a size that can be taken."""
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise InputError(
                f"{type(self).__name__} takes an input [B, {self.in_channels}, Y, X], not {list(x.shape)}. "
                f"Build the network with in_channels equal to the channels of the input."
            )
        self.check_size(x.shape[2], x.shape[3])

    def _smallest_size(self) -> int:
        return -(-self.minimum_size // self.size_multiple) * self.size_multiple
