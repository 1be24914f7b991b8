"""Images and volumes of every format with a few changed bytes, or cut: read, or refused in one line, and never else."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from hostile import cases, tried
from hypothesis import given
from hypothesis import strategies as st
from tiff_files import STACKS
from volume_files import VOLUMES

from txm2sem_core import io

SOUND = {name: case for name, case in (STACKS | VOLUMES).items() if case.array is not None}
HEADER = 600  # bytes in which most formats say what follows

places = st.one_of(st.integers(0, HEADER), st.floats(0, 1))  # a byte, or a share of the file
damages = st.tuples(
    st.sampled_from(sorted(SOUND)),
    st.integers(0, 10**6),  # which file of a folder
    st.lists(st.tuples(places, st.integers(1, 255)), min_size=1, max_size=4),
    st.none() | st.floats(0, 1),
)


def read_all(path: Path) -> None:
    with io.open_volume(path) as volume:
        for z in range(volume.shape[0]):
            volume.read(z, z + 1)


def damage(path: Path, changes: list[tuple[int | float, int]], kept: float | None) -> None:
    data = bytearray(path.read_bytes())
    for place, bits in changes:
        if data:
            index = place if isinstance(place, int) else int(place * (len(data) - 1))
            data[min(index, len(data) - 1)] ^= bits
    path.write_bytes(data if kept is None else data[: int(kept * len(data))])


@cases("images")
@given(damages)
def test_any_damage_to_an_image(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[str, int, list[tuple[int | float, int]], float | None],
) -> None:
    name, which, changes, kept = case
    folder = tmp_path_factory.mktemp("image")
    path = SOUND[name].make(folder)
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    damage(files[which % len(files)], changes, kept)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about what is odd
        tried("images", lambda: read_all(path), folder)
        if path.is_file() and path.suffix in (".tif", ".tiff"):
            tried("images", lambda: io.read_image(path), folder)
