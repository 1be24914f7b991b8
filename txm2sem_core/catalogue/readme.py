"""What `results/README.md` says of tables and figures.

`python -m txm2sem_core.catalogue.readme results/README.md` writes it there, between the two comments.
"""

from __future__ import annotations

import sys
from pathlib import Path

from txm2sem_core.catalogue.figures import FIGURES, Caption
from txm2sem_core.catalogue.tables import TABLES

BEGIN = "<!-- written by python -m txm2sem_core.catalogue.readme results/README.md -->\n"
END = "<!-- up to here -->\n"


def rows() -> list[str]:
    """A row of Markdown for each table and figure."""
    found = []
    for table in TABLES:
        files = ", ".join(f"`metrics/{table.name}{form}`" for form in table.forms)
        found.append(f"| {files} | {table.what} |")
    for figure in FIGURES:
        found.append(f"| `figures/{figure.file}` | {'. '.join(map(_brief, figure.captions.values()))} |")
    return found


def _brief(caption: Caption) -> str:
    """Title and first sentence."""
    return f"{caption.title}: {caption.text.partition('. ')[0].rstrip('.')}"


def completed(text: str) -> str:
    """The README with the rows as they are now."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    table = "\n".join(["", "| place | what |", "|---|---|", *rows(), "", ""])
    return f"{before}{begin}{table}{end}{after}"


if __name__ == "__main__":
    readme = Path(sys.argv[1])
    readme.write_text(completed(readme.read_text(encoding="utf-8")), encoding="utf-8")
