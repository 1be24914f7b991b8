"""The report's pages: HTML files with verdict, tables, figures and a viewer of slices, one a sample.

- `data`: what it is made from
- `verdict`: whether the best learned variant beats the best baseline
- `embedding`: images as data within the page
- `page`: all of it as HTML, from `templates/`
- `numbers`: voxel sizes in words, names as words of a command
"""

from txm2sem_core.report.page.data import (
    Answer,
    AnswerRow,
    FigureEntry,
    PairedTest,
    Picture,
    RefusedPair,
    ReportData,
    Role,
    SampleReport,
    TableEntry,
    TableRow,
    ViewerData,
    ViewerVolume,
    VolumeEntry,
    XRays,
)
from txm2sem_core.report.page.embedding import encode_plane
from txm2sem_core.report.page.page import MOST_BYTES, PAGE, page_of, write_report
from txm2sem_core.report.page.verdict import Finding, Verdict, verdicts

__all__ = [
    "MOST_BYTES",
    "PAGE",
    "Answer",
    "AnswerRow",
    "FigureEntry",
    "Finding",
    "PairedTest",
    "Picture",
    "RefusedPair",
    "ReportData",
    "Role",
    "SampleReport",
    "TableEntry",
    "TableRow",
    "Verdict",
    "ViewerData",
    "ViewerVolume",
    "VolumeEntry",
    "XRays",
    "encode_plane",
    "page_of",
    "verdicts",
    "write_report",
]
