from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# how long an example takes depends on what else the machine does
settings.register_profile("txm2sem", deadline=None)
settings.load_profile("txm2sem")

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def reference_fixtures() -> Path:
    """Weights, inputs and outputs of the published networks, with random weights: ours, or those that are named."""
    return Path(os.environ.get("TXM2SEM_FIXTURES", REPOSITORY / "tests" / "fixtures")) / "reference"
