"""Imported by every Python that starts with this folder on its path: leaves its peak of memory where it ends.

The peak of a job that ends between two looks is seen by no look. The file `PARENT-PROCESS` in the folder
`TXM2SEM_PEAKS` holds it in KiB.
"""

import atexit
import os
from pathlib import Path


def leave_peak() -> None:
    """Write the most memory that this process held at once (`VmHWM` of `/proc`)."""
    status = Path("/proc/self/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    (Path(os.environ["TXM2SEM_PEAKS"]) / f"{os.getppid()}-{os.getpid()}").write_text(peak)


atexit.register(leave_peak)  # first registered, so called last
