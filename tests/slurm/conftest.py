"""The cluster that all tests here share, where it can be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from cluster import Cluster, NoClusterError

VARIABLE = "TXM2SEM_TEST_SLURM"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Three nodes that are up. Only when asked for: it may install packages, as root."""
    if os.environ.get(VARIABLE) != "1":
        pytest.skip("make test-slurm runs it")
    with ExitStack() as stack:
        try:
            entered = stack.enter_context(Cluster())
        except NoClusterError as error:
            pytest.skip(f"no SLURM here: {error}")
        yield entered
