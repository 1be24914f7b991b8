"""What the report's page is made from: plain data, no results and no paths to look up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

Kind = Literal["learned", "baseline"]
Role = Literal["txm", "prediction", "baseline", "truth", "uncertainty", "residual"]


class TableRow(TypedDict):
    """Scores of one variant over the test slices. NaN where a standard error is not defined, as of one slice."""

    variant: str
    label: str
    kind: Kind
    factor: int
    seeds: int
    n: int  # different patches
    slices: NotRequired[int]  # that they lie in, over which the errors are; without, nothing is known of them
    psnr_mean: float
    psnr_stderr: float
    ssim_mean: float
    ssim_stderr: float
    mae_mean: float


class PairedTest(TypedDict):
    """A variant's score minus another's on the same patches: mean and 95 % interval over slices, NaN of one slice."""

    first: str
    second: str
    score: str  # `psnr` or `ssim`
    unit: str  # what the interval is over: `slice`
    slices: int
    difference: float
    low: float
    high: float


class RefusedPair(TypedDict):
    """A pair that registration refused, and why."""

    pair: str
    reasons: Sequence[str]


class FigureEntry(TypedDict):
    """A figure's PNG, title and caption."""

    title: str
    caption: str
    path: str | Path


class TableEntry(TypedDict):
    """A further table: one row a line, `columns` as key, heading and digits after the point, or -3 for 3 significant.

    A column NAME_mean is shown with its standard error where the row has a NAME_stderr.
    """

    key: str
    title: str
    note: str
    columns: Sequence[tuple[str, str, int]]
    rows: Sequence[Mapping[str, Any]]


class ViewerVolume(TypedDict):
    """A volume of the viewer: its slices along z as JPEG, all of the viewer's `shape`.

    `low` and `high` are the grey levels that are shown as black and white.
    """

    name: str
    role: Role
    low: float
    high: float
    slices: Sequence[bytes]


class ViewerData(TypedDict):
    """Volumes to look through.

    `shape` and `voxel_nm` (None where not known) are those of what is embedded, `z_step` tells how many slices of the
    full volume, whose shape is `full_shape`, one step is; `left_out` names volumes that are not here, and why.
    """

    volumes: Sequence[ViewerVolume]
    shape: tuple[int, int, int]
    voxel_nm: tuple[float | None, float | None, float | None]
    z_step: int
    full_shape: tuple[int, int, int]
    left_out: Sequence[str]


class VolumeEntry(TypedDict):
    """Where a predicted volume lies."""

    variant: str
    path: str


class AnswerRow(TypedDict):
    """A quantity of the rock as text: value and intervals in its unit; empty where it is not known."""

    title: str
    unit: str
    value: str
    interval: str  # of another training
    rock: str  # of the rock that it is a piece of
    truth: str


class XRays(TypedDict):
    """Whether the measured TXM agrees with what the predicted volume would show."""

    status: Literal["yes", "partly", "no"]
    text: str


class Picture(TypedDict):
    """A picture of the volume, and what it shows."""

    title: str
    content: bytes
    kind: Literal["jpeg", "webp"]


class Answer(TypedDict):
    """What is said first of a sample: its rock by one variant, which `why` chooses, and what is `missing` for more."""

    variant: str
    why: str
    rows: Sequence[AnswerRow]
    missing: Sequence[str]
    dominating: str  # what the intervals are made of most, in a sentence
    xrays: XRays | None
    pictures: NotRequired[Sequence[Picture]]
    caption: NotRequired[str]


class SampleReport(TypedDict):
    """All that is said of one sample."""

    name: str
    source: str  # in a word or two
    real: bool  # measured by instruments, not computed
    description: str
    voxel_size_nm: Sequence[float | None]  # Z, Y, X; None where it is not recorded
    pairs_total: int
    pairs_refused: Sequence[RefusedPair]
    patches: str  # how many pairs and patches each split has
    answer: NotRequired[Answer]
    table: Sequence[TableRow]
    paired: Sequence[PairedTest]
    beyond: Sequence[str]  # what the scores do not say, in sentences: continuity, rock
    tables: Sequence[TableEntry]
    figures: Sequence[FigureEntry]
    volumes: Sequence[VolumeEntry]
    warnings: Sequence[str]
    viewer: NotRequired[ViewerData | None]


class ReportData(TypedDict):
    """The whole report. `created_by` names program and version."""

    title: str
    created_by: str
    samples: Sequence[SampleReport]
    settings_yaml: str
    versions: Mapping[str, str]
