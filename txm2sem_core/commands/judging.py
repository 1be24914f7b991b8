"""Commands that judge what was made: metrics, the laboratory's measures, where the next slice would help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from txm2sem_core.commands.app import Group, app
from txm2sem_core.commands.options import Overwrite, check_voxel_size, to_write
from txm2sem_core.errors import ConfigError


@app.command(rich_help_panel=Group.JUDGING)
def evaluate(
    prediction: Annotated[Path, typer.Option(help="Image, volume (TIFF stack, folder) or OME-Zarr.")],
    target: Annotated[Path, typer.Option(help="The measured image or volume of the same shape.")],
    output: Annotated[Path, to_write("JSON file for the metrics.")],
    mask: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Image, of a volume for all slices, or volume; not zero where pixels count."),
    ] = None,
    data_range: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="Greatest minus least possible grey level; 255 for 8-bit data if not given."),
    ] = None,
    voxel_size_nm: Annotated[
        Optional[tuple[float, float, float]],  # noqa: UP045
        typer.Option(metavar="Z Y X", help="Voxel size in nanometres; that of the files if not given."),
    ] = None,
    phases: Annotated[
        int, typer.Option(min=0, max=5, help="Of the rock, separated by thresholds of the target; 0 leaves it out.")
    ] = 4,
    threshold: Annotated[
        Optional[list[float]],  # noqa: UP045
        typer.Option(help="Grey level that parts two phases; once for each, ascending, instead of --phases."),
    ] = None,
    flow: Annotated[
        bool, typer.Option("--flow", help="Solve diffusivity and permeability too, in blocks spread over the volume.")
    ] = False,
    cube_px: Annotated[int, typer.Option(min=0, help="Side of those blocks in voxels; 0 = the whole volume.")] = 128,
    blocks: Annotated[int, typer.Option(min=1, help="At most so many of them.")] = 8,
    other: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="The same volume by another training, once for each: the rock gets 90 % intervals."),
    ] = None,
    sample: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Option(help="A further sample of the prediction's own training, once for each."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure how close a prediction is to what was measured: two images or two volumes."""
    from txm2sem_core.measure.evaluate import evaluate_files, readable
    from txm2sem_core.measure.evaluate_rock import RockOptions

    check_voxel_size(voxel_size_nm)
    if phases == 1:
        raise ConfigError("--phases: one phase is no rock to measure. Give 2 to 5, or 0 to leave it out.")
    volumes = {"others": tuple(other or ()), "samples": tuple(sample or ())}
    rock = RockOptions(phases, tuple(threshold or ()), flow, cube_px, blocks, **volumes)
    options: dict[str, Any] = {"voxel_size_nm": voxel_size_nm, "rock": rock, "overwrite": overwrite}
    print(readable(evaluate_files(prediction, target, mask, data_range, output, **options)))


@app.command(rich_help_panel=Group.JUDGING)
def laboratory(
    volume: Annotated[Path, typer.Option(help="FIB-SEM volume: OME-Zarr, TIFF stack or folder.")],
    threshold: Annotated[float, typer.Option(help="A grey level that is not above it is pore.")],
    output: Annotated[Path, to_write("JSON file for the results.")],
    voxel_size_nm: Annotated[
        Optional[tuple[float, float, float]],  # noqa: UP045
        typer.Option(metavar="Z Y X", help="Voxel size in nanometres; that of the file if not given."),
    ] = None,
    cube_px: Annotated[int, typer.Option(min=0, help="Side of the block from the middle; 0 = the whole volume.")] = 128,
    overwrite: Overwrite = False,
) -> None:
    """Mercury intrusion, pores and throats of a volume, by PoreSpy: pip install porespy."""
    from txm2sem_core.measure.laboratory import laboratory_text, measure_laboratory

    check_voxel_size(voxel_size_nm)
    print(laboratory_text(measure_laboratory(volume, threshold, output, voxel_size_nm, cube_px, overwrite=overwrite)))


@app.command(rich_help_panel=Group.JUDGING)
def suggest(
    results: Annotated[Path, typer.Argument(help="Folder of a sample in a folder of results: results/SAMPLE.")],
    count: Annotated[int, typer.Option(min=1, help="Slices to suggest, each after those before it.")] = 1,
    variant: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Whose errors and volumes are used; the one of the highest PSNR if not given."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045
        to_write("JSON file for all slices that were looked at."),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Say where along z one more FIB-SEM slice would help most, and how much."""
    from txm2sem_core.measure.suggestions import suggest_slices, suggestions_text

    print(suggestions_text(suggest_slices(results, output, count, variant, overwrite=overwrite)))
