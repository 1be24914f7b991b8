"""The noise of a volume's slices takes no more memory the more slices there are.

What the process holds is looked at, in one of its own: memory that is in pieces is held by nobody. Some seconds, as the
noise of fifty slices is drawn.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from txm2sem_core.families.voxel_noise import VoxelNoise

SIDE = 384
HELD = f"""
import resource
from txm2sem_core.families.voxel_noise import VoxelNoise

noise = VoxelNoise(1, 0.5)
for z in range(50):
    noise.plane(z, 0, 0, {SIDE}, {SIDE})
    if z in (9, 49):
        print(int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize())
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is looked at as on Linux")
def test_slices_leave_nothing_behind() -> None:
    done = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True)
    early, late = map(int, done.stdout.split())
    plane = 4 * SIDE**2
    assert late - early < 8 * plane  # it was 40


def test_slices_are_the_same_in_any_order_and_after_other_parts() -> None:
    """The coefficients of a slice are kept in place of another's."""
    planes = {z: VoxelNoise(1, 0.4).plane(z, 3, 5, 40, 70) for z in (-2, 0, 1, 9, 40)}
    noise = VoxelNoise(1, 0.4)
    for z in (0, 1, 9, -2, 40, 0, 1):
        np.testing.assert_array_equal(noise.plane(z, 3, 5, 40, 70), planes[z])
        noise.plane(z, 0, 0, 8, 8)
