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
    """Weights, inputs and outputs of the published networks."""
    folder = Path(os.environ.get("TXM2SEM_FIXTURES", REPOSITORY.parent / "shared" / "fixtures")) / "reference"
    if not (folder / "index.json").is_file():
        pytest.skip(f"no reference fixtures in {folder}: set TXM2SEM_FIXTURES")
    return folder
