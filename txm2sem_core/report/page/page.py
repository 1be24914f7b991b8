"""The report: one HTML file that holds everything it shows and opens offline."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from txm2sem_core.errors import InputError, printable
from txm2sem_core.io import atomic_path
from txm2sem_core.metrics.numerals import number, plus_minus
from txm2sem_core.report.page.data import ReportData, SampleReport, TableRow
from txm2sem_core.report.page.embedding import figure_data, viewer_data
from txm2sem_core.report.page.numbers import shell_word, voxels
from txm2sem_core.report.page.verdict import answers

SCRIPTS = ("report.js", "decode.js", "stage.js", "viewer.js")  # in this order they make the page's one script

MARKS = {"yes": "Yes", "partly": "Partly", "undecided": "Undecided", "no": "No", "open": "Open"}


def write_report(output: Path, report: ReportData) -> None:
    """Write the report as one HTML file that asks nothing of the outside; the same input gives the same bytes.

    Its content security policy allows the page's own script and style, by their digests, and images in the page:
    whatever else stood in it could neither run nor load anything.

    Raises:
        InputError: there is no sample, a figure is missing or no image, slices of the viewer differ in size, or the
            folder cannot be written.
    """
    if not report["samples"]:
        raise InputError("the report has no sample to show")
    environment = Environment(
        loader=PackageLoader("txm2sem_core.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "plus_minus": plus_minus, "voxels": voxels, "printable": printable}
    style = _asset(environment, "report.css")
    script = '"use strict";\n' + "\n".join(_asset(environment, name) for name in SCRIPTS)
    html = environment.get_template("report.html.j2").render(
        **{**report, "samples": [_prepared(sample, output) for sample in report["samples"]]},
        marks=MARKS,
        style=Markup(style),  # ours, not a user's
        script=Markup(script),
        style_digest=Markup(_digest(style)),
        script_digest=Markup(_digest(script)),
    )
    with atomic_path(output) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _asset(environment: Environment, name: str) -> str:
    """A file of the templates as it is."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _digest(text: str) -> str:
    """The source expression by which a content security policy allows one inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _prepared(sample: SampleReport, output: Path) -> dict[str, Any]:
    """Give what the template needs beside the sample's own entries."""
    table = sorted(sample["table"], key=lambda row: (row["factor"], row["kind"] == "baseline", -row["psnr_mean"]))
    viewer = sample.get("viewer")
    return {
        **sample,
        "table": table,
        "best": {factor: _best(table, factor) for factor in {row["factor"] for row in table}},
        "answers": answers(sample["table"], sample["paired"]),
        "seeds": _range([row["seeds"] for row in table if row["kind"] == "learned"]),
        "tested": _range([row["n"] for row in table]),
        "figures": [{**figure, "data": figure_data(Path(figure["path"]))} for figure in sample["figures"]],
        "viewer": viewer_data(viewer) if viewer and viewer["volumes"] else None,
        "volumes": [{**volume, **_place(volume["path"], output)} for volume in sample["volumes"]],
    }


def _place(path: str, output: Path) -> dict[str, str]:
    """Address of a volume from where the report lies, its name in an address, and path and folder for a command."""
    relative = os.path.relpath(path, output.parent)
    return {
        "address": quote(Path(relative).as_posix()) + "/",
        "name": quote(Path(path).name),
        "path_word": shell_word(path),
        "folder_word": shell_word(str(Path(path).parent)),
    }


def _range(counts: Sequence[int]) -> str:
    """`3`, or `1 to 3` where they differ."""
    if not counts:
        return "–"
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _best(table: Sequence[TableRow], factor: int) -> dict[str, float]:
    """Best value of each score among the variants of a factor."""
    rows = [row for row in table if row["factor"] == factor]
    return {
        "psnr": max(row["psnr_mean"] for row in rows),
        "ssim": max(row["ssim_mean"] for row in rows),
        "mae": min(row["mae_mean"] for row in rows),
    }
