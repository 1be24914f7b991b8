"""Sections through the volumes in all three planes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, SectionsStyle
from txm2sem_core.figures.saving import or_reason, save
from txm2sem_core.geometry import Array
from txm2sem_core.io.field_of_view import FieldOfView, as_shown
from txm2sem_core.plotting import VolumeSections, cut_sections, draw_sections
from txm2sem_core.provenance import code_digest
from txm2sem_core.provenance.beside import keep_beside, read_beside, volumes_key

PLANES = ("xy", "xz", "yz")
Sections = tuple[Array, Array, Array]
"""`[Y, X]`, `[Z, X]`, `[Z, Y]`."""


def sections_figure(
    variant: str,
    txm: Path,
    txm_measured: Path | None,
    predicted: Path,
    truth: Path | None,
    store: Path,
    style: SectionsStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw sections through the middle of the TXM volume, the predicted volume, and the truth where it is known.

    What was not measured has a colour of its own, and the grey scale is of the rest. Of a volume that must be read
    whole, which the TXM volume is, the sections are kept in the sample's folder for the figures of other variants.

    Args:
        variant: that predicted the volume.
        txm: the TXM volume.
        txm_measured: mask of what was measured of it, where there is one.
        predicted: OME-Zarr.
        truth: the true volume, where it is known.
        store: the `store.json` of the patches, which holds the voxel size.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
    """
    files = list(outputs)
    opened = io.open_volume(predicted)
    voxel_size_nm = tuple(io.read_json(store)["voxel_size_nm"])
    measured = io.with_mask(io.open_volume(txm), txm_measured)
    sources = [("TXM", measured, "txm", False), (variant.replace("_", " "), opened, "sem", False)]
    if truth is not None:
        sources.append(("Truth", io.open_volume(truth), "sem", True))
    position = _middle(opened.shape)
    with or_reason("Sections", files, common):
        volumes = []
        for name, volume, modality, is_reference in sources:
            kept = store.parent.parent / f".sections-{name.lower()}-{'x'.join(map(str, opened.shape))}.npz"
            sections = _sections(volume, opened.shape, modality == "txm", None if volume is opened else kept)
            volumes.append(VolumeSections(name, *sections, position, voxel_size_nm, modality, is_reference))  # type: ignore[arg-type]
        save(draw_sections(volumes, style, common), files, common)


def _middle(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    depth, height, width = shape
    return depth // 2, height // 2, width // 2


def _sections(volume: io.Volume, shape: tuple[int, int, int], guess: bool, kept: Path | None) -> Sections:
    """The sections of a volume that meet in the middle of the predicted volume's shape, within its height and width.

    Where a voxel itself tells whether it was measured, only what is drawn is read, if the format allows it.

    Args:
        volume: to cut.
        shape: of the predicted volume.
        guess: what was measured must be found (see `FieldOfView`).
        kept: a file for the sections of a volume that is read whole, for the next figure.
    """
    if volume.has_parts and not guess:
        return _parts(FieldOfView(volume, guess=False), shape)
    if kept is None:
        return _whole(volume, shape, guess)
    with io.exclusive(kept, "draw_sections"):  # figures that are drawn at the same time wait for the first
        key = volumes_key([volume], [code_digest("figures.sections:sections_figure"), shape, guess])
        found = read_beside(kept, key)
        if found is not None:
            return found["xy"], found["xz"], found["yz"]
        sections = _whole(volume, shape, guess)
        keep_beside(kept, key, dict(zip(PLANES, sections, strict=True)))
        return sections


def _whole(volume: io.Volume, shape: tuple[int, int, int], guess: bool) -> Sections:
    """By reading all slices: whether a voxel was measured, others of its slice tell."""
    field = FieldOfView(volume, guess=guess)
    _, height, width = shape
    planes = (as_shown(p, field.of(p, z))[:height, :width] for z, p in enumerate(volume.slices()))
    return cut_sections(planes, _middle(shape))


def _parts(field: FieldOfView, shape: tuple[int, int, int]) -> Sections:
    """By reading the chunks that the sections touch."""
    (z, y, x), volume = _middle(shape), field.volume
    depth, height, width = (
        min(own, most) for own, most in zip(volume.shape, (volume.shape[0], *shape[1:]), strict=True)
    )
    if z >= depth or y >= height or x >= width:
        return _whole(volume, shape, guess=False)  # which says what lies outside

    def shown(along_z: slice, along_y: slice, along_x: slice) -> Array:
        part = volume.read_part(along_z, along_y, along_x)
        return np.stack([as_shown(plane, field.of(plane, along_z.start + n)) for n, plane in enumerate(part)])

    of_all = slice(0, depth)
    return (
        shown(slice(z, z + 1), slice(0, height), slice(0, width))[0],
        shown(of_all, slice(y, y + 1), slice(0, width))[:, 0],
        shown(of_all, slice(0, height), slice(x, x + 1))[:, :, 0],
    )
