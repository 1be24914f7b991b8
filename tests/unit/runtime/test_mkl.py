"""The first prediction of a process has the bits of the next one.

Twelve seconds: only a new process calls anything for the first time, and only some would meet the fault (3 of 24 did).
"""

from __future__ import annotations

import subprocess
import sys

from txm2sem_core.runtime import mkl

PROCESSES, AT_ONCE = 12, 4  # more than cores, which makes it likelier
PREDICT_TWICE = """
import torch
from txm2sem_core.networks import build_generator
torch.set_num_threads(2)
network = build_generator(name="unet_32", width=8, seed=0).eval()
x = torch.linspace(-1, 1, 2**16).view(1, 1, 256, 256)
with torch.no_grad():
    print(torch.equal(network(x), network(x)))
"""


def test_a_process_predicts_the_same_from_the_start() -> None:
    answers = []
    for _ in range(0, PROCESSES, AT_ONCE):
        command = [sys.executable, "-c", PREDICT_TWICE]
        started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(AT_ONCE)]
        answers += [process.communicate()[0].strip() for process in started]
    assert answers == ["True"] * PROCESSES


def test_the_functions_are_there() -> None:
    mkl.make_first_calls()
    assert "tanh" in mkl.FUNCTIONS  # with which the networks end
