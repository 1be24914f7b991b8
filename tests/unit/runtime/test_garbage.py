"""Processes of a workflow: garbage is looked for seldom, still found, and left alone at the end."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import atexit, gc, weakref

atexit.register(lambda: print("frozen", gc.get_freeze_count() > 0))  # the last to be called, as it is the first here
from txm2sem_core.runtime.garbage import OBJECTS, reduce_garbage_collection

reduce_garbage_collection()

class Circle:
    def __init__(self):
        self.self = self

first = weakref.ref(Circle())
made = 0
while first() is not None:
    kept = [[] for _ in range(100)]
    Circle()
    made += 101
    assert made < 100 * OBJECTS, "cyclic garbage is never collected"
print("collected", gc.get_freeze_count() == 0)
"""


def test_garbage_is_collected_until_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["collected", "True", "frozen", "True"], done.stderr
