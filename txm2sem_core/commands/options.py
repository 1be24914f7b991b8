"""What the commands of `cli` share: options, and how texts that were typed are read and shown."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import typer

from txm2sem_core.errors import ConfigError

Kind = Literal["volume", "pairs", "reference", "demo"]
"""What data a project begins with: pairs and a TXM volume, pairs alone, the published layout, or a synthetic rock."""


def to_write(help: str) -> Any:
    """An option that names what is written, checked as it was typed."""

    def parse(text: str) -> Path:
        from txm2sem_core.io import output_path

        return output_path(text)

    return typer.Option(help=help, parser=parse, metavar="PATH")


def among(*values: str) -> Callable[[str], list[str]]:
    """What a shell completes an option's value with: those of the values that begin as it does."""

    def beginning(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return beginning


Device = Annotated[
    str,
    typer.Option(
        envvar="TXM2SEM_DEVICE", help="auto, cpu, cuda or mps.", autocompletion=among("auto", "cpu", "cuda", "mps")
    ),
]
Threads = Annotated[int, typer.Option(min=0, help="CPU threads; 0 = as many as the machine has.")]
SettingsJson = Annotated[str, typer.Option(help="Settings as JSON, as the workflow passes them.")]
Models = Annotated[
    list[Path],
    typer.Option("--model", help="Folder with generator.safetensors and model.json; several times for an ensemble."),
]
Samples = Annotated[
    int,
    typer.Option(
        min=0, help="Passes with active dropout, or samples of a flow, for the uncertainty; 0 = none, one prediction."
    ),
]
Draw = Annotated[
    int, typer.Option(min=1, help="Number of the sample, of a model of the family flow: another number, another rock.")
]
DropoutSeed = Annotated[int, typer.Option("--seed", min=0, help="Of the dropout.")]
Plugins = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option("--plugin", envvar="TXM2SEM_PLUGINS", help="Python file that registers a network or a family."),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace an earlier result of TXM2SEM in --output; never anything else.")
]
DigestFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option("--digest", help="JSON to write at last: a digest of what was predicted, which a copy has too."),
]
Tile = Annotated[
    Optional[int],  # noqa: UP045
    typer.Option(min=1, help="Side of a tile in TXM pixels; whole planes where memory allows if not given."),
]
Precision = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Of the network: float32, bfloat16, or on a GPU float16; as the settings say if not given.",
        autocompletion=among("float32", "bfloat16", "float16"),
    ),
]
OmeZarr = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option(
        help="Version of OME-Zarr to write: 0.5, or 0.4 for viewers that cannot read it.",
        autocompletion=among("0.5", "0.4"),
    ),
]
ExportFormat = Annotated[
    str,
    typer.Option(
        "--format",
        help="bioimageio, onnx or torchscript.",
        autocompletion=among("bioimageio", "onnx", "torchscript"),
    ),
]
CalibrationFile = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="calibration.json of predict-test, to state a calibrated uncertainty."),
]
VolumeMeasured = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(
        "--measured",
        help="Mask of what was measured of the TXM volume: one image for all slices, or a volume; not zero = measured. "
        "Found if not given.",
    ),
]
Further = Annotated[
    Optional[list[Path]],  # noqa: UP045
    typer.Option(
        "--further",
        help="A further scan of the same rock on the grid of --input, for a model that was trained on several; once "
        "for each, in the order of the sample table.",
    ),
]
SliceMeasured = Annotated[
    Optional[Path],  # noqa: UP045
    typer.Option(help="Mask of what was measured of that slice: not zero = measured. Found if not given."),
]
VoxelSize = Annotated[
    Optional[tuple[float, float, float]],  # noqa: UP045 - typer reads this form
    typer.Option(help="Voxel size Z Y X of the input in nm, where its own metadata is wrong or missing."),
]


def shown(message: str) -> str:
    """A message with what a terminal cannot show written out; line breaks of its own stay, those of names do not."""
    from txm2sem_core.io import printable

    names = {part for argument in sys.argv[1:] for part in argument.split("/") if not part.isprintable()}
    for name in names:
        message = message.replace(name, printable(name))
    return "\n".join(map(printable, message.split("\n")))


def parse_slab(text: str | None) -> tuple[int, int] | None:
    """The slab that `I/N` names."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None:
        raise ConfigError(f"--slab: I/N is needed, as 2/8 for the second of eight slabs. It is {text!r}.")
    return int(found[1]), int(found[2])


def check_voxel_size(voxel_size_nm: tuple[float, float, float] | None) -> None:
    """Raise `ConfigError` unless all sizes are lengths."""
    if voxel_size_nm is not None and not all(0 < size < float("inf") for size in voxel_size_nm):
        raise ConfigError(f"--voxel-size-nm: sizes must be greater than 0, they are {voxel_size_nm}.")


def load_plugins(files: list[Path] | None) -> None:
    """Register the networks and families of the user's own files."""
    if files:
        from txm2sem_core import networks

        networks.load_plugins(files)


def set_threads(threads: int) -> None:
    """Let PyTorch compute with so many threads; 0 leaves it as it is."""
    if threads:
        import torch

        torch.set_num_threads(threads)
