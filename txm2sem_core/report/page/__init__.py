"""The report's page: one HTML file with answer, tables, figures and a viewer of slices.

- `data`: what it is made from
- `verdict`: whether the best learned variant beats the best baseline
- `embedding`: images as data within the page
- `page`: all of it as HTML, from `templates/`
- `numbers`: voxel sizes in words, names as words of a command
"""

from txm2sem_core.report.page.data import (
    FigureEntry,
    PairedTest,
    RefusedPair,
    ReportData,
    Role,
    SampleReport,
    TableEntry,
    TableRow,
    ViewerData,
    ViewerVolume,
    VolumeEntry,
)
from txm2sem_core.report.page.embedding import encode_plane
from txm2sem_core.report.page.page import write_report
from txm2sem_core.report.page.verdict import Answer, Finding, answers

__all__ = [
    "Answer",
    "FigureEntry",
    "Finding",
    "PairedTest",
    "RefusedPair",
    "ReportData",
    "Role",
    "SampleReport",
    "TableEntry",
    "TableRow",
    "ViewerData",
    "ViewerVolume",
    "VolumeEntry",
    "answers",
    "encode_plane",
    "write_report",
]
