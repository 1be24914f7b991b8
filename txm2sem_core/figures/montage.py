"""TXM, prediction, FIB-SEM and error of every variant on one test patch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.config.figures import CommonStyle, MontageStyle
from txm2sem_core.figures.saving import save
from txm2sem_core.metrics import psnr, ssim
from txm2sem_core.metrics.gaps import Gaps
from txm2sem_core.plotting import MontageRow, draw_montage


def montage_figure(
    number: int,
    variants: Sequence[str],
    predicted: Sequence[Path],
    patches: Sequence[Path],
    measure: MeasureSettings,
    style: MontageStyle,
    common: CommonStyle,
    outputs: Iterable[Path],
) -> None:
    """Draw TXM, prediction, FIB-SEM and error of every variant on one test patch.

    Args:
        number: which of `style.patches` test patches, evenly over the split; the first is 1.
        variants: a row each.
        predicted: the `patches.tif` of each.
        patches: folder of the patch store that each was predicted from.
        measure: the data range of PSNR and SSIM.
        style: of this figure.
        common: of all figures.
        outputs: files to write; their suffixes are the formats.
    """
    rows = []
    for variant, images, folder in zip(variants, predicted, patches, strict=True):
        store = io.read_patch_store(folder)
        test = store.of_split("test")
        index = round((number - 0.5) * len(test) / style.patches - 0.5)
        patch = test.iloc[index]
        target = store.sem_patch(patch["pair"], int(patch["y"]), int(patch["x"]))
        txm = store.txm_patch(patch["pair"], int(patch["y"]), int(patch["x"]), 0)[0]
        prediction = io.open_volume(images).read(index, index + 1)[0]
        mask = store.mask_patch(patch["pair"], int(patch["y"]), int(patch["x"]))
        full_range = store.data_range(measure.data_range)
        note = "not measured"
        with Gaps("draw_montage").of(f"scores of patch {index}"):
            scores = psnr(prediction, target, full_range, mask), ssim(prediction, target, full_range, mask)
            note = f"{scores[0]:.2f} dB, SSIM {scores[1]:.3f}"
        rows.append(MontageRow(variant.replace("_", " "), txm, prediction, target, store.pixel_size_nm, note))
    save(draw_montage(rows, style, common), outputs, common)
