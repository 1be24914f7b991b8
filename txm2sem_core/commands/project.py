"""Commands around a project: begin one, check it, look at the machine, plan and compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from txm2sem_core.commands.app import Group, app
from txm2sem_core.commands.options import Device, Kind


@app.command(rich_help_panel=Group.START)
def init(
    folder: Annotated[Path, typer.Argument(help="New folder, which is made.")],
    kind: Annotated[
        Kind,
        typer.Option("--from", help="What you have: pairs and a volume, pairs alone, the published layout, nothing."),
    ] = "volume",
) -> None:
    """Begin a project of your own: configuration, sample table, profiles, and a Snakefile that runs the workflow."""
    from txm2sem_core.commands.init import make_project

    make_project(folder, kind)
    print(f"{folder}: made. {folder / 'README.md'} says how to go on.")


@app.command(rich_help_panel=Group.START)
def plan(
    config: Annotated[Path, typer.Argument(help="Configuration of the run.")] = Path("config/config.yaml"),
    whole: Annotated[bool, typer.Option("--whole", help="Count what is there already, too.")] = False,
    device: Device = "auto",
) -> None:
    """Say what a run will take before anything of it runs: hours, memory, disk and files, by stage."""
    from txm2sem_core.commands.planned import plan_run
    from txm2sem_core.costs.forecast import lines

    stages = plan_run(config, whole=whole, device=device)
    print("\n".join(lines(stages)) if stages else "Nothing is left to do.")


@app.command(rich_help_panel=Group.START)
def progress(
    folder: Annotated[Path, typer.Option(help="That Snakemake was started in.")] = Path(),
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the run has ended.")] = False,
) -> None:
    """Say how far a run is: what is done, running and left of each stage, the time left, and what failed."""
    from txm2sem_core.commands.progress import show_progress, watch_progress

    (watch_progress if watch else show_progress)(folder)


@app.command(rich_help_panel=Group.START)
def plan_volume(
    shape: Annotated[tuple[int, int, int], typer.Option(help="Z Y X of the TXM volume in voxels.")],
    voxels_per_second: Annotated[float, typer.Option(help="Predicted voxels that one GPU makes in a second.")],
    jobs: Annotated[int, typer.Option(help="Into how many the volume is split: predict.jobs.")] = 1,
    gpus: Annotated[int, typer.Option(help="How many compute at a time.")] = 1,
    factor: Annotated[int, typer.Option(help="SEM pixels a TXM pixel along y and x.")] = 1,
    channels: Annotated[int, typer.Option(help="Of the prediction; 2 with an uncertainty.")] = 1,
) -> None:
    """Say what the prediction of a large volume takes: bytes, files, jobs and hours."""
    from txm2sem_core.commands.plan import plan_lines, plan_prediction

    counted = plan_prediction(shape, voxels_per_second, jobs=jobs, gpus=gpus, factor=factor, channels=channels)
    for line in plan_lines(counted):
        print(line)


@app.command(rich_help_panel=Group.START)
def doctor(
    results: Annotated[Path, typer.Option(help="Folder where results will be written.")] = Path("results"),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what this machine has, what will be slow and why, and what is missing; exit code 1 if it cannot work."""
    import json

    from txm2sem_core.commands.doctor import diagnose, screen

    found = diagnose(results)
    print(json.dumps(found.as_dict(), indent=1) if as_json else screen(found))
    if not found.usable:
        raise typer.Exit(1)


@app.command(rich_help_panel=Group.START)
def check(
    config: Annotated[Path, typer.Option(help="YAML file, as snakemake is given by --configfile.")],
) -> None:
    """Check a configuration and its sample table and figures' style, without running anything that stands in them."""
    from txm2sem_core.samples.preflight import check_file

    print(f"{config}: {check_file(config)}")


@app.command(rich_help_panel=Group.JUDGING)
def compare(
    first: Annotated[Path, typer.Argument(help="Results folder of a finished run.")],
    second: Annotated[Path, typer.Argument(help="That of the same configuration, run again or on another machine.")],
) -> None:
    """Compare two results folders, to the byte or within what two machines may differ by; exit code 1 if not so."""
    from txm2sem_core.commands.compare import agreement_text, compare_results

    compared = compare_results(first, second)
    print(agreement_text(compared))
    if not all(result.agrees for result in compared):
        raise typer.Exit(1)
