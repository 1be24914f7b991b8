"""The report's page: one HTML file with answer, tables, figures and a viewer of slices.

- `data`: what it is made from
- `answer`: whether the best learned variant beats the best baseline
- `embedding`: images as data within the page
- `page`: all of it as HTML, from `templates/`
- `words`: voxel sizes in words, names as words of a command
"""

from txm2sem_core.viewer.answer import Answer, Finding, answers
from txm2sem_core.viewer.data import (
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
from txm2sem_core.viewer.embedding import encode_plane
from txm2sem_core.viewer.page import write_report

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
