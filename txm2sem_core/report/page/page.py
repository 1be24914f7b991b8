"""The report: HTML files that hold everything they show and open offline; of one sample a single one."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from txm2sem_core.errors import InputError, printable
from txm2sem_core.io import atomic_path
from txm2sem_core.metrics.numerals import number, plus_minus, significant
from txm2sem_core.report.page.data import Picture, ReportData, SampleReport, TableRow
from txm2sem_core.report.page.embedding import figures_within, image_data, viewer_data
from txm2sem_core.report.page.numbers import shell_word, voxels
from txm2sem_core.report.page.verdict import verdicts

SCRIPTS = ("report.js", "decode.js", "stage.js", "viewer.js")  # in this order they make the page's one script

MARKS = {"yes": "Yes", "partly": "Partly", "undecided": "Undecided", "no": "No", "open": "Open"}


MOST_BYTES = 24_000_000  # of a page, so that it can be sent by mail; its figures are reduced to fit
PAGE = "report.html"  # of each of several samples, in a folder of its name


def page_of(output: Path, sample: str, samples: int) -> Path:
    """Where a sample's page lies: the report itself or, of several samples, a page in the sample's folder beside it."""
    return output if samples == 1 else output.parent / sample / PAGE


def write_report(output: Path, report: ReportData) -> None:
    """Write the report as HTML that asks nothing of the outside; the same input gives the same bytes.

    Of one sample it is one file. Of several, `output` is an index with what is said first of each, and with settings
    and versions, and each has a page (see `page_of`). No page is larger than `MOST_BYTES`, as long as its texts and
    slices leave room: figures are embedded in as many pixels as fit, with a link to the file.

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
    environment.filters |= {"number": number, "significant": significant, "plus_minus": plus_minus}
    environment.filters |= {"voxels": voxels, "printable": printable}
    style = _asset(environment, "report.css")
    script = '"use strict";\n' + "\n".join(_asset(environment, name) for name in SCRIPTS)
    common = {
        **{key: value for key, value in report.items() if key != "samples"},
        "marks": MARKS,
        "style": Markup(style),  # ours, not a user's
        "script": Markup(script),
        "style_digest": Markup(_digest(style)),
        "script_digest": Markup(_digest(script)),
    }
    template, several = environment.get_template("report.html.j2"), len(report["samples"]) > 1
    overview = []
    for sample in report["samples"]:
        page = page_of(output, sample["name"], len(report["samples"]))
        prepared = _prepared(sample, page)
        given = {**common, "overview": [], "index": _address(output, page) if several else None}
        if several:
            given |= {"title": f"{sample['name']} – {report['title']}", "settings_yaml": None}
        _write(page, _within(template, given, prepared, page))
        overview.append({**prepared, "address": _address(page, output)})
    if several:
        _write(output, template.render(**common, overview=overview, samples=[], index=None))


def _within(template: Template, given: Mapping[str, Any], sample: dict[str, Any], page: Path) -> str:
    """A sample's page, with figures in as many bytes as the rest of it leaves."""
    empty = [
        {**figure, "data": {"address": None, "width": 0, "height": 0, "reduced": True}} for figure in sample["figures"]
    ]
    rest = len(template.render(**given, samples=[{**sample, "figures": empty}]).encode("utf-8"))
    data = figures_within([Path(figure["path"]) for figure in sample["figures"]], max(MOST_BYTES - rest, 0))
    figures = [{**figure, "data": own} for figure, own in zip(empty, data, strict=True)]
    return template.render(**given, samples=[{**sample, "figures": figures}])


def _write(page: Path, html: str) -> None:
    with atomic_path(page) as temporary:
        temporary.write_text(html, encoding="utf-8")


def _address(target: str | Path, page: Path) -> str:
    """The address of a file from where a page lies."""
    return quote(Path(os.path.relpath(target, page.parent)).as_posix())


def _asset(environment: Environment, name: str) -> str:
    """A file of the templates as it is."""
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _digest(text: str) -> str:
    """The source expression by which a content security policy allows one inline script or style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _prepared(sample: SampleReport, output: Path) -> dict[str, Any]:
    """The values that the template needs beside the sample's own entries."""
    table = sorted(sample["table"], key=lambda row: (row["factor"], row["kind"] == "baseline", -row["psnr_mean"]))
    viewer = sample.get("viewer")
    answer = sample.get("answer")
    return {
        **sample,
        "answer": answer and {**answer, "pictures": [_picture(one) for one in answer.get("pictures", ())]},
        "table": table,
        "best": {factor: _best(table, factor) for factor in {row["factor"] for row in table}},
        "verdicts": verdicts(sample["table"], sample["paired"]),
        "seeds": _range([row["seeds"] for row in table if row["kind"] == "learned"]),
        "tested": _range([row["n"] for row in table]),
        "figures": [{**figure, "file": _address(figure["path"], output)} for figure in sample["figures"]],
        "viewer": viewer_data(viewer) if viewer and viewer["volumes"] else None,
        "volumes": [{**volume, **_link(volume["path"], output)} for volume in sample["volumes"]],
    }


def _picture(picture: Picture) -> dict[str, Any]:
    return {**picture, "data": image_data(picture["content"], picture["kind"])}


def _link(path: str, output: Path) -> dict[str, str]:
    """Address of a volume from where the report lies, its name in an address, and path and folder for a command."""
    return {
        "address": _address(path, output) + "/",
        "name": quote(Path(path).name),
        "zarr": "2" if (Path(path) / ".zgroup").exists() else "3",
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
