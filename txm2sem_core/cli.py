"""The command `txm2sem`. Each command unpacks its options and calls one function of the package.

Heavy imports stand inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from txm2sem_core import __version__
from txm2sem_core.commands import judging, project  # noqa: F401 - they register their commands
from txm2sem_core.commands.app import Group, app
from txm2sem_core.commands.options import (
    CalibrationFile,
    Device,
    DigestFile,
    Draw,
    DropoutSeed,
    ExportFormat,
    Further,
    Models,
    OmeZarr,
    Overwrite,
    Plugins,
    Precision,
    Samples,
    SettingsJson,
    SliceMeasured,
    Threads,
    Tile,
    VolumeMeasured,
    VoxelSize,
    check_voxel_size,
    load_plugins,
    parse_slab,
    set_threads,
    shown,
    to_write,
)
from txm2sem_core.errors import ConfigError, Txm2semError, for_user, warn_in_one_line
from txm2sem_core.runtime.allocator import keep_freed_memory
from txm2sem_core.runtime.garbage import reduce_garbage_collection


def main() -> None:
    """Run the command. A mistake of the user's ends with its message and exit code 1, without a traceback."""
    reduce_garbage_collection()
    warn_in_one_line()
    try:
        app()
    except (Txm2semError, OSError, MemoryError, RuntimeError) as error:
        reported = for_user(error)
        if reported is None:
            raise
        print(f"txm2sem: error: {shown(str(reported))}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("txm2sem: stopped.", file=sys.stderr)
        sys.exit(130)


@app.callback(invoke_without_command=True)
def _before_any_command(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"txm2sem {__version__}")
        raise typer.Exit
    keep_freed_memory()  # before any thread has a heap of its own


@app.command(rich_help_panel=Group.STAGES)
def predict(
    model: Models,
    input: Annotated[
        Path, typer.Option(help="TXM volume: TIFF, folder of slices, OME-Zarr, HDF5 (file.h5:/dataset), MRC, .txm.")
    ],
    output: Annotated[Path, to_write("What to write: NAME.ome.zarr or NAME.tif.")],
    further: Further = None,
    device: Device = "auto",
    tile: Tile = None,
    precision: Precision = None,
    ome_zarr: OmeZarr = None,
    voxel_size_nm: VoxelSize = None,
    measured: VolumeMeasured = None,
    draw: Draw = 1,
    samples: Samples = 0,
    seed: DropoutSeed = 0,
    calibration: CalibrationFile = None,
    slab: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            metavar="I/N", help="Predict the I-th of N slabs alone, I from 1, as one of several jobs; then --finish."
        ),
    ] = None,
    slab_report: Annotated[
        Optional[Path],  # noqa: UP045
        to_write("JSON to write after a slab: its units, their slices, and the checksums of their files."),
    ] = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Predict nothing: check that all slabs are there, and close the volume.")
    ] = False,
    digest: DigestFile = None,
    threads: Threads = 0,
    plugin: Plugins = None,
    settings: SettingsJson = "{}",
    name: Annotated[str, typer.Option(help="What the progress calls it.")] = "volume",
    overwrite: Overwrite = False,
) -> None:
    """Predict the FIB-SEM volume of a TXM volume; with several models, or --samples, its uncertainty too.

    A prediction that was killed goes on where it stopped when the same command is given again, and one that is whole
    is left as it is.
    """
    from txm2sem_core.config import PredictSettings, parse_settings

    options: dict[str, Any] = {} if tile is None else {"tile_px": tile}
    options |= {} if ome_zarr is None else {"ome_zarr": ome_zarr}
    if precision is not None:
        compute = parse_settings(PredictSettings, settings).compute.model_dump()
        options["compute"] = {**compute, "precision": precision}
    chosen = parse_settings(PredictSettings, settings, **options)
    check_voxel_size(voxel_size_nm)
    from txm2sem_core import inference
    from txm2sem_core.checkpoint import load_model
    from txm2sem_core.io import MARK, check_output, check_share, open_volume, with_further, with_mask, write_json

    part = parse_slab(slab)
    if slab_report is not None and part is None:
        raise ConfigError("--slab-report: only a slab has a report. Give --slab I/N too.")
    if digest is not None and part is not None:
        raise ConfigError("--digest: a slab is no whole volume. Leave it to the call that closes the volume.")
    several = len(model) > 1 or samples > 0
    read = [*model, input, *(further or ()), measured, calibration, *(plugin or ())]
    inference.check_volume_output(output, read, several=several)
    if slab_report is not None:
        check_output([*read, output], files=[slab_report])
    source = with_further(open_volume(input), map(open_volume, further or ()))
    set_threads(threads)
    load_plugins(plugin)
    predictor: inference.Predictor | inference.EnsemblePredictor
    if not several:
        if calibration is not None:
            raise ConfigError(
                "--calibration: one model has no spread to calibrate. Give several by --model, or --samples."
            )
        predictor = inference.Predictor(load_model(model[0]), chosen, device, draw=draw)
    else:
        predictor = inference.load_ensemble(model, chosen, device, samples, seed)
    source = with_mask(source, measured, predictor.factor)
    check_share(source)
    result = inference.predict_volume(
        predictor,
        source,
        output,
        calibration=None if calibration is None else inference.read_calibration(calibration, predictor),
        voxel_size_nm=voxel_size_nm,
        slab=part,
        only_finish=finish,
        name=name,
        overwrite=overwrite,
    )
    if slab_report is not None:
        if result.whole:
            raise ConfigError(f"--slab-report: {output} is whole, and has no slabs any more. Give --overwrite too.")
        report = {"slab": slab, "clipped": result.clipped, "units": result.units}
        write_json(slab_report, {**report, **MARK}, overwrite=overwrite)
    if digest is not None:
        write_json(digest, {"sha256": result.digest, **MARK}, overwrite=overwrite)
    print(output if part is None else f"slab {slab} of {output}")


@app.command("predict-test", rich_help_panel=Group.STAGES)
def predict_test_patches(
    model: Models,
    patches: Annotated[Path, typer.Option(help="Folder of a patch store.")],
    output: Annotated[Path, to_write("Folder for patches.tif and slices/.")],
    device: Device = "auto",
    samples: Samples = 0,
    seed: DropoutSeed = 0,
    digest: DigestFile = None,
    threads: Threads = 0,
    plugin: Plugins = None,
    settings: SettingsJson = "{}",
    name: Annotated[str, typer.Option(help="What the progress calls it.")] = "test",
    overwrite: Overwrite = False,
) -> None:
    """Predict the test patches and slices of a patch store; with several models, or --samples, the spread too."""
    from txm2sem_core import inference
    from txm2sem_core.checkpoint import load_model
    from txm2sem_core.config import PredictSettings, parse_settings
    from txm2sem_core.io import check_output

    files = ["patches.tif", *(["spread.tif", "calibration.json"] if len(model) > 1 or samples else [])]
    read = [*model, patches, *(plugin or ())]
    check_output(read, files=[output / file for file in files], folders=[output / "slices"])
    set_threads(threads)
    load_plugins(plugin)
    chosen = parse_settings(PredictSettings, settings)
    if len(model) == 1 and not samples:
        predictor = inference.Predictor(load_model(model[0]), chosen, device)
        inference.predict_test(predictor, patches, output, name=name, overwrite=overwrite)
    else:
        several = inference.load_ensemble(model, chosen, device, samples, seed)
        inference.predict_test_with_uncertainty(several, patches, output, name=name, overwrite=overwrite)
    if digest is not None:
        from txm2sem_core.io import MARK, write_json
        from txm2sem_core.provenance import raw_digest

        found = {"sha256": raw_digest(sorted(output.glob("*.tif")))}
        write_json(digest, {**found, **MARK}, overwrite=overwrite)


@app.command(rich_help_panel=Group.STAGES)
def repair(
    model: Annotated[Path, typer.Option(help="Folder of a model that repairs.")],
    txm: Annotated[Path, typer.Option(help="TXM slice, in register with the FIB-SEM slice.")],
    sem: Annotated[Path, typer.Option(help="FIB-SEM slice.")],
    mask: Annotated[Path, typer.Option(help="Image, not zero where the FIB-SEM slice is charged.")],
    output: Annotated[Path, to_write("The repaired slice, NAME.tif.")],
    device: Device = "auto",
    threads: Threads = 0,
    plugin: Plugins = None,
    settings: SettingsJson = "{}",
    overwrite: Overwrite = False,
) -> None:
    """Repair a FIB-SEM slice where it is charged; all other pixels stay the very same."""
    from txm2sem_core import inference
    from txm2sem_core.checkpoint import load_model
    from txm2sem_core.config import PredictSettings, parse_settings
    from txm2sem_core.io import check_output

    check_output([model, txm, sem, mask, *(plugin or ())], files=[output])
    set_threads(threads)
    load_plugins(plugin)
    predictor = inference.Predictor(load_model(model), parse_settings(PredictSettings, settings), device)
    if not predictor.family.needs_sem:
        raise ConfigError(f"{model}: this model predicts from TXM alone and repairs nothing. Use `txm2sem predict`.")
    clipped = inference.repair_files(predictor, txm, sem, mask, output, overwrite=overwrite)
    if clipped:
        print(f"repair: {clipped} pixels were clipped.", file=sys.stderr)
    print(output)


@app.command(rich_help_panel=Group.STAGES)
def train(
    patches: Annotated[Path, typer.Option(help="Folder of a patch store.")],
    settings: SettingsJson,
    output: Annotated[Path, to_write("The model's folder.")],
    seed: Annotated[int, typer.Option(min=0)] = 0,
    device: Device = "auto",
    threads: Threads = 0,
    plugin: Plugins = None,
    tensorboard: Annotated[bool, typer.Option(envvar="TXM2SEM_TENSORBOARD")] = False,
    name: Annotated[str, typer.Option(help="What the progress calls it.")] = "model",
    volume: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="TXM volume at the patches' factor; z_penalty.stack draws slices from it."),
    ] = None,
    measured: VolumeMeasured = None,
    overwrite: Overwrite = False,
) -> None:
    """Train one model variant on a patch store; goes on where a killed training of the same settings stopped."""
    from txm2sem_core.config import TrainSettings, parse_settings
    from txm2sem_core.io import check_output
    from txm2sem_core.training import MODEL_FILES, train_model

    check_output([patches, volume, measured, *(plugin or ())], files=[output / file for file in MODEL_FILES])
    set_threads(threads)
    load_plugins(plugin)
    chosen = parse_settings(TrainSettings, settings)
    options: dict[str, Any] = {"device": device, "tensorboard": tensorboard, "overwrite": overwrite}
    options |= {"volume": volume, "measured": measured}
    train_model(patches, chosen, seed, output, name=name, **options)


@app.command(rich_help_panel=Group.STAGES)
def register(
    fixed: Annotated[Path, typer.Option(help="TXM slice; or a volume, in which the plane of the slice is sought.")],
    moving: Annotated[Path, typer.Option(help="FIB-SEM slice; with a volume also a folder of them, one stack.")],
    output: Annotated[Path, to_write("Folder for registered.tif and transform.json, or plane.json.")],
    mask: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Mask of the FIB-SEM slice, to be brought along as mask.tif."),
    ] = None,
    fixed_measured: SliceMeasured = None,
    moving_measured: SliceMeasured = None,
    landmarks: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="Points marked by hand in both slices, as BigWarp exports them."),
    ] = None,
    z: Annotated[
        str, typer.Option(help="With a volume: slices in which the centre lies, as 20-60, or a first guess, as 40.")
    ] = "",
    spacing_nm: Annotated[
        Optional[float],  # noqa: UP045
        typer.Option(help="With a volume and a folder: how far slices of consecutive numbers lie apart, in nm."),
    ] = None,
    settings: SettingsJson = "{}",
    overwrite: Overwrite = False,
) -> None:
    """Bring a FIB-SEM slice onto a TXM slice, or find its plane in a TXM volume."""
    from txm2sem_core.config import RegisterSettings, parse_settings
    from txm2sem_core.registration import is_volume, register_files, register_in_volume

    chosen, measured = parse_settings(RegisterSettings, settings), (fixed_measured, moving_measured)
    if is_volume(fixed):
        for name, value in (("mask", mask), ("landmarks", landmarks)):
            if value is not None:
                raise ConfigError(f"--{name} belongs to a TXM slice, but {fixed} is a volume. Leave it out.")
        found_by: dict[str, Any] = {"measured": measured, "spacing_nm": spacing_nm, "overwrite": overwrite}
        register_in_volume(fixed, moving, output, chosen, z, **found_by)
        print(output)
        return
    for name, given in (("z", bool(z)), ("spacing-nm", spacing_nm is not None)):
        if given:
            raise ConfigError(f"--{name} belongs to a volume, but {fixed} is one slice. Leave it out.")
    options: dict[str, Any] = {"measured": measured, "landmarks": landmarks, "overwrite": overwrite}
    register_files(fixed, moving, output, chosen, mask, **options)
    print(output / "registered.tif")


@app.command("import-reference", rich_help_panel=Group.MODELS)
def import_reference(
    weights: Annotated[Path, typer.Option(help="NAME_net_G.pth of the published code.")],
    output: Annotated[Path, to_write("The model's folder.")],
    generator: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Name of the generator, where it cannot be read off the weights."),
    ] = None,
    norm: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="batch, instance or none, where it cannot be read off the weights."),
    ] = None,
    dropout: Annotated[
        Optional[bool],  # noqa: UP045
        typer.Option(help="Whether the network has dropout, where it cannot be read off the weights."),
    ] = None,
    inference_mode: Annotated[str, typer.Option(help="evaluation, or batch_statistics as the published code.")] = (
        "evaluation"
    ),
    overwrite: Overwrite = False,
) -> None:
    """Turn a checkpoint of the published code into a model folder. Nothing in the file is ever run."""
    from txm2sem_core.checkpoint import import_reference_model

    overrides = {"name": generator, "norm": norm, "dropout": dropout}
    given = {key: value for key, value in overrides.items() if value is not None}
    import_reference_model(weights, output, given, inference_mode, overwrite=overwrite)


@app.command(rich_help_panel=Group.MODELS)
def export(
    model: Annotated[Path, typer.Option(help="Folder of a trained or imported model.")],
    output: Annotated[Path, to_write("The file; of a bioimageio package a ZIP.")],
    form: ExportFormat = "bioimageio",
    plugin: Plugins = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a model for other programs: the BioImage Model Zoo, ONNX, TorchScript."""
    from txm2sem_core.export import export_model

    load_plugins(plugin)
    export_model(model, form, output, overwrite=overwrite)
    print(output)


@app.command(rich_help_panel=Group.STAGES)
def phantom(
    output: Annotated[Path, to_write("Folder for the raw files and the truth.")],
    shape: Annotated[tuple[int, int, int], typer.Option(help="Z Y X in voxels.")] = (48, 192, 192),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    settings: SettingsJson = "{}",
    overwrite: Overwrite = False,
) -> None:
    """Make a synthetic shale with its TXM volume, FIB-SEM slices and truth."""
    from txm2sem_core.config import PhantomSettings, parse_settings
    from txm2sem_core.phantom import make_phantom

    make_phantom(parse_settings(PhantomSettings, settings, shape=shape, seed=seed), output, overwrite=overwrite)
    print(output)
