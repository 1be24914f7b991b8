"""Sections through the volumes in all three planes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config.figures import CommonStyle, SectionsStyle
from txm2sem_core.figures.saving import or_reason, save
from txm2sem_core.io.field_of_view import FieldOfView, as_shown
from txm2sem_core.plotting import VolumeSections, cut_sections, draw_sections


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

    What was not measured has a colour of its own, and the grey scale is of the rest.

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
    depth, height, width = opened.shape
    position = (depth // 2, height // 2, width // 2)
    voxel_size_nm = tuple(io.read_json(store)["voxel_size_nm"])
    measured = io.with_mask(io.open_volume(txm), txm_measured)
    sources = [("TXM", measured, "txm", False), (variant.replace("_", " "), opened, "sem", False)]
    if truth is not None:
        sources.append(("Truth", io.open_volume(truth), "sem", True))
    with or_reason("Sections", files, common):
        volumes = []
        for name, volume, modality, is_reference in sources:
            field = FieldOfView(volume, guess=modality == "txm")
            planes = (as_shown(p, field.of(p, z))[:height, :width] for z, p in enumerate(field.volume.slices()))
            sections = cut_sections(planes, position)
            volumes.append(VolumeSections(name, *sections, position, voxel_size_nm, modality, is_reference))  # type: ignore[arg-type]
        save(draw_sections(volumes, style, common), files, common)
