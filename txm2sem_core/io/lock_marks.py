"""Marks of who holds a lock, since the file system's locks may hold on one machine alone (Lustre with localflock).

A mark is a file beside the lock. Its name holds an identifier of the machine since its last start, the process, and the
time when it began. The system knows whether a process of this machine lives. For another machine, its lock shows it
where locks hold for all machines; otherwise its mark does, which its process touches once a minute: a mark that was not
touched for half an hour belongs to a killed process. Times are compared with those of files made now, so that different
clocks do not matter.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from txm2sem_core.io.mounts import mount_of, shares_flock

BEAT_S = 60.0
SILENT_S = 1800.0
_ALONE, _SHARED = "alone", "shared"
_NAME = re.compile(
    rf"\.lock\.(?P<lock>[0-9a-f]{{16}})\.(?P<boot>[\w-]+)\.(?P<process>\d+)\.(?P<start>\d+)\.\d+\.(?P<how>{_ALONE}|{_SHARED})"
)
_numbers = itertools.count()  # one process may hold several locks of one name in threads


class Mark:
    """That of this process on a lock, from `of` until `remove`."""

    def __init__(self, lock: Path, path: Path, shared: bool) -> None:
        self._lock, self.path, self._shared = lock, path, shared
        self._ended = threading.Event()

    @classmethod
    def of(cls, lock: Path, shared: bool) -> Self:
        """Make one.

        Args:
            lock: the file that is locked, on this machine by this process already.
            shared: with others that ask so, else alone.

        Raises:
            FileNotFoundError: the folder is gone.
        """
        process = os.getpid()
        how = _SHARED if shared else _ALONE
        name = f".lock.{_short(lock)}.{boot()}.{process}.{started(process)}.{next(_numbers)}.{how}"
        path = lock.with_name(name)
        with path.open("x", encoding="utf-8") as file:  # for who looks at it
            file.write(f"process {process} of {socket.gethostname()}\n")
        return cls(lock, path, shared)

    def rivals(self) -> list[Path]:
        """Marks of processes that may be alive and exclude this one; marks of processes that ended are removed."""
        found = []
        for path in sorted(self._lock.parent.iterdir()):
            theirs = _NAME.fullmatch(path.name)
            if theirs is None or theirs["lock"] != _short(self._lock) or path == self.path:
                continue
            with suppress(FileNotFoundError):  # it has ended meanwhile
                if self._is_over(path, theirs):
                    path.unlink()
                elif not (self._shared and theirs["how"] == _SHARED):
                    found.append(path)
        return found

    def _is_over(self, path: Path, theirs: re.Match[str]) -> bool:
        """Whether the process of a mark is known to have ended, or was silent for too long."""
        if theirs["boot"] == boot():
            return started(int(theirs["process"])) != theirs["start"]
        if shares_flock(mount_of(self._lock.parent.resolve())):
            return not self._shared or theirs["how"] == _ALONE  # as this process has the lock
        return self.path.stat().st_mtime - path.stat().st_mtime > SILENT_S

    def keep(self) -> None:
        """Touch it from now on."""
        threading.Thread(target=self._beat, name="lock mark", daemon=True).start()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(OSError):  # the folder may be gone, with the lock
                os.utime(self.path)

    def remove(self) -> None:
        """Take it away."""
        self._ended.set()
        self.path.unlink(missing_ok=True)


def _short(lock: Path) -> str:
    """A short form of a lock's name, which may be as long as file names can be."""
    return hashlib.sha256(os.fsencode(lock.name)).hexdigest()[:16]


def boot() -> str:
    """An identifier of this machine since its last start; its name where the system gives none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return re.sub(r"\W", "-", socket.gethostname())


def started(process: int) -> str:
    """When a process of this machine began, as the system counts; empty where there is none, or a dead one."""
    if sys.platform == "linux":
        try:
            text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
            state, *fields = text.rpartition(")")[2].split()
            return "" if state in ("Z", "X") else fields[18]  # the 22nd in `man 5 proc_pid_stat`
        except (OSError, IndexError, ValueError):
            return ""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except OSError:  # another user's
        pass
    return "0"
