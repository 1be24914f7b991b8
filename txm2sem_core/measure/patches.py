"""Measure predictions of test patches, one by one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from txm2sem_core import io
from txm2sem_core.config import MeasureSettings
from txm2sem_core.errors import InputError
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics import Correlation, CorrelationMeter
from txm2sem_core.metrics.gaps import NOT_MEASURED, Gaps, log_gap
from txm2sem_core.metrics.image import psnr_8bit, ssim_8bit, to_8bit
from txm2sem_core.metrics.scores import SCORES, ImagePair

COMPARISON = "comparison with the truth"
_CURVES = "spectra and resolution"
_POWER = ["source", "frequency_per_px", "frequency_per_nm", "power"]
_RESOLUTION = [*_POWER[:3], "correlation", "half_bit", "resolution_nm", "resolution_half_bit_nm"]


def measure_patches(
    predicted: str | Path,
    patches: Path,
    settings: MeasureSettings,
    output: str | Path,
    spectra: str | Path,
    resolution: str | Path,
) -> None:
    """Scores of every test patch, one row a patch, and what the patches hold at each spatial frequency.

    Columns of the scores: patch, pair, z, y, x; psnr (dB), ssim, mae, ms_ssim, structure, gmsd, histogram_distance over
    uncharged pixels in float; psnr_8bit, ssim_8bit over all pixels as the published comparison has them; not_measured,
    the scores that failed, which are empty, and why.

    Args:
        predicted: `patches.tif`, float SEM grey levels [N, Y, X].
        patches: folder of the full-resolution patch store.
        settings: the data range.
        output: CSV of the scores.
        spectra: CSV, radially averaged over all patches: source (`prediction`, `sem`, `txm`), frequency_per_px,
            frequency_per_nm (empty where the pixel size is not known), power (density, squared grey levels of the
            source times squared pixels).
        resolution: CSV of the Fourier ring correlation with the measured SEM, pooled over all patches: source
            (`prediction`, `txm`), the frequencies, correlation, half_bit (that threshold), and for each source
            resolution_nm (at 1/7) and resolution_half_bit_nm.
    """
    store = io.read_patch_store(patches)
    rows = store.of_split("test")
    volume = io.open_volume(predicted)
    if volume.shape[0] != len(rows):
        raise InputError(f"{predicted}: {volume.shape[0]} patches, the index has {len(rows)} of the test split.")
    full = store.data_range(settings.data_range)
    low, high = (0.0, 255.0) if store.sem_dtype == np.uint8 else (store.sem_range.low, store.sem_range.high)
    gaps = Gaps("measure_patches")
    table = []
    rings = {source: CorrelationMeter(_pixels(store)) for source in ("prediction", "txm")}
    for row, prediction in zip(rows.to_dict("records"), volume.slices(), strict=True):
        position = (row["pair"], row["y"], row["x"])
        target, mask = store.sem_patch(*position), store.mask_patch(*position)
        with gaps.of(_CURVES):
            rings["prediction"].add(prediction, target, mask)
            rings["txm"].add(store.txm_patch(*position, context=0)[0], target, mask)
        own = Gaps()
        scores = _scores_of(ImagePair(prediction, target, full, mask), (low, high), own)
        here = {key: row[key] for key in ("patch", "pair", "z", "y", "x")}
        table.append({**here, **scores, NOT_MEASURED: own.as_text()})
    failed = Counter(text for row in table if (text := row[NOT_MEASURED]))
    for reason, number in failed.items():
        log_gap("measure_patches", f"scores of {number} of {len(table)} patches", reason)
    io.write_csv(output, pd.DataFrame(table))
    _write_curves(rings, store, spectra, resolution, gaps)


def _scores_of(pair: ImagePair, limits: tuple[float, float], gaps: Gaps) -> dict[str, float]:
    """All scores of a patch, NaN of one that fails; `limits` are the grey levels that are 0 and 255 in 8 bits."""

    @cache
    def eight_bit() -> tuple[np.ndarray, np.ndarray]:
        own, true = (to_8bit(image, *limits) for image in pair.given)
        return own, true

    measures: dict[str, Callable[[], float]] = {name: partial(score, pair) for name, score in SCORES.items()}
    measures |= {"psnr_8bit": lambda: psnr_8bit(*eight_bit()), "ssim_8bit": lambda: ssim_8bit(*eight_bit())}
    scores = dict.fromkeys(measures, math.nan)
    for name, measure in measures.items():
        with gaps.of(name):
            scores[name] = measure()
    return scores


def _write_curves(
    rings: dict[str, CorrelationMeter], store: PatchStore, spectra: str | Path, resolution: str | Path, gaps: Gaps
) -> None:
    """Power and correlation of the patches; tables without rows where they could not be measured."""
    x_nm = math.nan if store.pixel_size_nm is None else store.pixel_size_nm[1]
    parts, curves = [pd.DataFrame(columns=_POWER)], [pd.DataFrame(columns=_RESOLUTION)]
    if _CURVES not in gaps.reasons:
        powers = {"prediction": rings["prediction"].power()[0], "sem": rings["txm"].power()[1]}
        powers["txm"] = rings["txm"].power()[0]
        frequency = rings["txm"].rings.frequency_per_nm  # per pixel: the spacing was given in pixels
        columns = {"frequency_per_px": frequency, "frequency_per_nm": frequency / x_nm}
        parts = [pd.DataFrame({"source": key, **columns, "power": power}) for key, power in powers.items()]
        curves = [_resolution_rows(k, meter.correlation(either_sign=k == "txm"), x_nm) for k, meter in rings.items()]
    io.write_csv(spectra, pd.concat(parts, ignore_index=True))
    io.write_csv(resolution, pd.concat(curves, ignore_index=True))


def _pixels(store: PatchStore) -> tuple[float, float]:
    """Steps along y and x in pixel widths along x."""
    size = store.pixel_size_nm
    return (1.0, 1.0) if size is None else (size[0] / size[1], 1.0)


def _resolution_rows(source: str, curve: Correlation, pixel_nm: float) -> pd.DataFrame:
    frequency = curve.rings.frequency_per_nm
    return pd.DataFrame(
        {
            "source": source,
            "frequency_per_px": frequency,
            "frequency_per_nm": frequency / pixel_nm,
            "correlation": curve.correlation,
            "half_bit": curve.half_bit,
            "resolution_nm": curve.resolution_nm() * pixel_nm,
            "resolution_half_bit_nm": curve.resolution_nm(curve.half_bit) * pixel_nm,
        }
    )


def distinct_patches(scores: pd.DataFrame) -> pd.DataFrame:
    """The rows without repeated positions: a random set of patches may draw one several times."""
    position = [name for name in ("variant", "seed", "pair", "y", "x") if name in scores]
    return scores.drop_duplicates(position)
