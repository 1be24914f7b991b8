"""What is refused before PoreSpy is asked, and without it; its results are in tests/exact/test_second_libraries.py."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from txm2sem_core import io
from txm2sem_core.errors import InputError
from txm2sem_core.measure.laboratory import laboratory_text, measure_laboratory
from txm2sem_core.metrics.pores.laboratory import mercury_intrusion, pore_network

PORE = np.ones((4, 4, 4), bool)


@pytest.mark.parametrize("measure", [mercury_intrusion, pore_network])
def test_without_porespy_the_message_says_how_to_get_it(
    measure: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "porespy", None)
    with pytest.raises(InputError, match="pip install porespy"):
        measure(PORE, 10)


@pytest.mark.parametrize("measure", [mercury_intrusion, pore_network])
def test_voxels_that_are_no_cubes_and_volumes_without_pores_are_refused(measure: Callable[..., object]) -> None:
    with pytest.raises(InputError, match="takes them as cubes"):
        measure(PORE, (20, 10, 10))
    with pytest.raises(InputError, match="holds no pores"):
        measure(~PORE, 10)
    with pytest.raises(InputError, match="boolean array"):
        measure(PORE.astype(int), 10)


def test_the_command_wants_a_voxel_size(tmp_path: Path) -> None:
    io.write_tiff(tmp_path / "v.tif", np.zeros((4, 5, 6), np.uint8))
    with pytest.raises(InputError, match="Give --voxel-size-nm"):
        measure_laboratory(tmp_path / "v.tif", 100, tmp_path / "l.json")


def test_what_mercury_does_not_fill_has_no_pressure() -> None:
    numbers = dict.fromkeys(("porosity", "pores", "throats", "coordination_mean"), 1.0)
    sizes = dict.fromkeys(("pore_diameter_nm_median", "throat_diameter_nm_median"), 12345.6)
    text = laboratory_text({**numbers, **sizes, "mercury_saturation": 0.2, "mercury_half_filled_mpa": None})
    assert "MPa   -" in text
    assert "1.235e+04" in text
