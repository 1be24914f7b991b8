"""In every Python of a traced run: write down which of the package's files have a function that runs in a job.

What runs while a module is imported does not count. One file a process, a line as soon as a file is met, since the
processes of a pool end without a word.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from types import FrameType

FOLDER = Path(os.environ["TXM2SEM_TRACE"])
PACKAGE = os.environ["TXM2SEM_TRACED_PACKAGE"] + os.sep
met: set[str] = set()


def entry() -> str | None:
    """The script or command that this process was started for."""
    words = [Path(word).name for word in sys.orig_argv]
    if "run_script.py" in words:
        return words[words.index("run_script.py") + 1]
    return f"cli:{words[words.index('txm2sem_core') + 1]}" if "txm2sem_core" in words else None


def is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False


def look(frame: FrameType, event: str, _: object) -> None:
    file = frame.f_code.co_filename
    if event == "call" and file.startswith(PACKAGE) and file not in met and not is_importing(frame):
        met.add(file)
        with (FOLDER / f"{ENTRY}.{os.getpid()}").open("a") as stream:
            stream.write(file.removeprefix(PACKAGE) + "\n")


ENTRY = entry()
if ENTRY is not None:
    threading.settrace(look)
    sys.settrace(look)  # which, unlike a profile, hears of nothing but calls of Python
