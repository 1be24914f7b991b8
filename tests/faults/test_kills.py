"""SIGKILL of the whole run, Snakemake and all of its jobs, at random moments over the whole pipeline."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest
from undisturbed import ALL, Undisturbed, fingerprint, make_workflow, start

ROUNDS, KILLS = 6, 5
SHORTEST_S = 3.0  # until Snakemake has read its rules


@pytest.mark.skipif(not ALL, reason="minutes a round: set TXM2SEM_FAULTS=all, or run `make test-faults`")
@pytest.mark.slow  # the pipeline, and what the kills throw away
@pytest.mark.timeout(3600)  # of all kills together, and of the undisturbed run before the first
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_killed_at_random_moments_the_same_command_ends_with_the_same_bytes(
    undisturbed: Undisturbed, tmp_path: Path, seed: int
) -> None:
    seconds, expected = undisturbed.seconds, undisturbed.expected
    folder = make_workflow(tmp_path / "w")
    moments = random.Random(seed)
    kills = 0
    while kills < KILLS:
        process = start(folder)
        # as far as a fresh run would come in its share of the pipeline, so that the kills are spread over all of it
        time.sleep(SHORTEST_S + moments.random() * 2 * seconds / KILLS)
        if process.poll() is not None:
            assert process.returncode == 0, (folder / "output.txt").read_text()
            break  # it was faster than the kills; what it left is compared below
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
    assert start(folder).wait() == 0, (folder / "output.txt").read_text()
    print(f"\nround {seed}: {kills} kills survived")
    assert kills
    found = fingerprint(folder / "results")
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []
