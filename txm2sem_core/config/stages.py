"""Settings of the stages, save training: phantom, register, patches, downsample, predict, measure."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, Literal

from pydantic import Field, model_validator

from txm2sem_core.config.base import Fraction, NonNegative, Positive, PositiveInt, Seed, Settings, Triple
from txm2sem_core.config.compute import ComputeSettings

SMALLEST_PHANTOM_PX = 16  # along Y and X, for slices worth registering
MOST_PHASES = 5  # that figures have colours for


class PhantomSettings(Settings):
    """A synthetic shale and its two acquisitions. Fractions are of the whole volume."""

    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = (128, 1024, 1024)  # Z, Y, X voxels
    voxel_size_nm: Triple = (32.0, 32.0, 32.0)  # Z, Y, X
    seed: Seed = 0
    pair_every: PositiveInt = 8  # slices from one FIB-SEM partner to the next
    beam_energy_kev: Positive = 8.0
    max_rotation_deg: NonNegative = 3.0
    max_scale_percent: NonNegative = 2.0
    max_shift_px: NonNegative = 12.0
    psf_fwhm_nm: Triple = (120.0, 90.0, 90.0)  # Z, Y, X
    photons: Positive = 20000.0  # mean detected photons a projection pixel without sample
    sem_electrons: Positive = 300.0  # mean detected electrons a pixel at full scale


class RegisterSettings(Settings):
    """How the FIB-SEM slice (moving) is brought onto the TXM slice (fixed)."""

    transform: Literal["none", "translation", "rigid", "similarity", "affine"] = "similarity"
    median_px: Annotated[int, Field(ge=0, le=15)] = 3  # median filter before the search, 0 or 1 = off
    smooth_px: NonNegative = 1.0  # Gaussian sigma before the search, pixels
    levels: Annotated[int, Field(ge=1, le=6)] = 4  # coarse-to-fine levels, each half the size of the next
    max_rotation_deg: NonNegative = 15.0  # a larger result is refused
    max_scale_percent: NonNegative = 15.0
    max_shift_fraction: Fraction = 0.35  # of the slice's shorter side
    min_overlap: Fraction = 0.5  # share of the TXM slice, as measured, that the FIB-SEM slice must cover
    min_similarity: NonNegative = 0.02  # normalised mutual information over that of the slices displaced
    max_disagreement_px: Positive = 2.0  # between the whole slice's transform and that of its better half alone
    refused: Literal["exclude", "stop"] = "exclude"  # a pair that fails: leave it out and name it, or stop


class SplitSettings(Settings):
    """Shares of the pairs, by place in z: the first go to training, then validation, then test."""

    train: Fraction = 0.7
    validation: Fraction = 0.15
    test: Fraction = 0.15

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitSettings:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train, validation and test must add up to 1")
        return self


class TxmSettings(Settings):
    """What is done to the TXM before patches are cut; published, and none by default."""

    equalise: Fraction = 0.0  # clip limit of contrast-limited adaptive histogram equalisation, 0 = off
    contrast: Positive = 1.0  # factor about each slice's mean
    offset_px: tuple[int, int] = (0, 0)  # y, x: training pairs are displaced so far, to study misalignment


class PatchesSettings(Settings):
    """How pairs are split and cut into patches."""

    size_px: Annotated[int, Field(ge=8)] = 256
    train: PositiveInt = 10000  # training patches, drawn at random; one epoch shows each once
    evaluation: Literal["grid", "random"] = "grid"  # validation and test: side by side, or drawn at random
    evaluation_count: PositiveInt = 100  # at most so many a split; `grid` gives no more than fit
    grid_px: PositiveInt = 4  # positions are multiples of this; each super-resolution factor must divide it
    context: Annotated[int, Field(ge=0, le=3)] = 0  # TXM slices below and above that a patch is cut with
    min_uncharged: Fraction = 0.95  # share of a patch's pixels that were measured and are not charged
    min_nonzero: Fraction = 0.0  # share that must not be 0 in either image; 0 = off: 0 is a grey level too
    percentiles: tuple[float, float] = (0.05, 99.95)  # of training pixels, mapped to -1 and 1
    txm: TxmSettings = TxmSettings()
    split: SplitSettings = SplitSettings()
    seed: Seed = 999

    @model_validator(mode="after")
    def _belongs_together(self) -> PatchesSettings:
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise ValueError(f"percentiles must be 0 <= low < high <= 100, not {low}, {high}")
        if self.size_px % self.grid_px:
            raise ValueError(f"size_px must be a multiple of grid_px = {self.grid_px}; it is {self.size_px}")
        return self


class DownsampleSettings(Settings):
    """How TXM slices are made coarser for super-resolution."""

    method: Literal["nearest", "area", "psf"] = "area"
    psf_sigma_px: Positive = 0.5  # of method `psf`: Gaussian, in pixels of the coarse image
    noise_sigma: NonNegative = 0.0  # of method `psf`: Gaussian noise, as a share of the TXM's intensity range
    seed: Seed = 0


class UncertaintySettings(Settings):
    """How the uncertainty of predictions is estimated; neither way by default."""

    ensemble: bool = False  # mean and spread over the models of all `seeds`, for every trained variant
    dropout_samples: Annotated[int, Field(ge=0)] = 0  # passes with active dropout, for variants that have it; 0 = off
    seed: Seed = 0  # of the dropout

    @model_validator(mode="after")
    def _one_pass_has_no_spread(self) -> UncertaintySettings:
        if self.dropout_samples == 1:
            raise ValueError("dropout_samples must be 0 (off) or at least 2: one pass has no spread")
        return self


class PredictSettings(Settings):
    """How volumes are predicted and written."""

    tile_px: Annotated[int, Field(ge=0)] = (
        0  # side of a tile in TXM pixels; 0 = no tiles where a network can do without
    )
    overlap_px: Annotated[int, Field(ge=0)] = 32  # width over which neighbouring tiles are blended
    jobs: Annotated[int, Field(ge=1, le=1000)] = 1  # a volume is predicted by so many, a slab of whole slices each
    compute: ComputeSettings = ComputeSettings()
    uncertainty: UncertaintySettings = UncertaintySettings()


class RockSettings(Settings):
    """Figures of the pores of volumes."""

    cube_px: Annotated[int, Field(ge=0)] = 128  # side of the block for pore sizes and flow; 0 = the whole volume
    flow: bool = False  # diffusivity and permeability along z, y and x


class ForestSettings(Settings):
    """A random-forest pixel classifier, trained on the sample's label images."""

    trees: Annotated[int, Field(ge=1, le=1000)] = 50
    depth: Annotated[int, Field(ge=1, le=50)] = 12  # of each tree, at most
    largest_px: Annotated[float, Field(ge=1, le=32)] = 8.0  # Gaussian sigma of the coarsest features, pixels
    pixels: Annotated[int, Field(ge=10)] = 10000  # labelled pixels of each phase that are learnt from, at most
    seed: Annotated[int, Field(ge=0)] = 0


class MeasureSettings(Settings):
    """What the metrics need to know."""

    data_range: Positive | Literal["auto"] = "auto"  # `auto`: 255 for 8-bit SEM images, else their recorded range
    phases: Annotated[int, Field(ge=2, le=MOST_PHASES)] = 4  # classes of the segmentation of volumes
    segmentation: Literal["thresholds", "labels", "forest"] = "thresholds"
    thresholds: tuple[float, ...] = ()  # SEM grey levels that part the phases of volumes; empty: multi-Otsu
    forest: ForestSettings = ForestSettings()
    rock: RockSettings = RockSettings()

    @model_validator(mode="after")
    def _one_way_to_part_phases(self) -> MeasureSettings:
        if any(not math.isfinite(level) for level in self.thresholds) or any(
            low >= high for low, high in itertools.pairwise(self.thresholds)
        ):
            raise ValueError(f"thresholds must be ascending grey levels, they are {list(self.thresholds)}")
        if len(self.thresholds) >= MOST_PHASES:
            raise ValueError(f"thresholds: at most {MOST_PHASES - 1}, which part {MOST_PHASES} phases, can be drawn")
        if self.thresholds and self.segmentation != "thresholds":
            raise ValueError(
                f"thresholds are given, but segmentation is {self.segmentation}: leave them out, or choose thresholds"
            )
        return self
