"""What every script needs: its log, and a message instead of a traceback where the user can correct something."""

import contextlib
import os
import sys
from pathlib import Path

from txm2sem_core.errors import Txm2semError, for_user
from txm2sem_core.io.results import mark_results
from txm2sem_core.runtime.allocator import keep_freed_memory
from txm2sem_core.runtime.garbage import reduce_garbage_collection

reduce_garbage_collection()  # scripts import this module before those that take time


class Tee:
    """Write to the terminal and to the log; a log on a full disk must not stop the message that says so."""

    def __init__(self, terminal, log):
        self.terminal, self.log = terminal, log

    def write(self, text):
        self.terminal.write(text)
        self.terminal.flush()
        with contextlib.suppress(OSError):
            self.log.write(text.encode())

    def flush(self):
        self.terminal.flush()

    def isatty(self):
        return False


def path_or_none(name):
    """A path of a rule's params, which is empty where there is none."""
    return Path(name) if name else None


@contextlib.contextmanager
def logged(snakemake):
    """Send stderr to the rule's log too; end with exit code 1 and the message alone on a user's mistake."""
    keep_freed_memory()
    if results := os.environ.get("TXM2SEM_RESULTS"):
        mark_results(Path(results))
    with open(snakemake.log[0], "wb", buffering=0) as log:  # unbuffered: closing it has nothing left to write
        terminal = sys.stderr
        sys.stderr = Tee(terminal, log)
        try:
            yield
        except (Txm2semError, OSError, MemoryError) as error:
            reported = for_user(error)
            if reported is None:
                raise
            print(f"txm2sem: error: {reported}", file=sys.stderr)
            sys.exit(1)
        finally:
            sys.stderr = terminal
