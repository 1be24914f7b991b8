"""Settings of the stages, save training: phantom, register, patches, downsample, predict, measure."""

from __future__ import annotations

import itertools
import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from txm2sem_core.config.base import Fraction, NonNegative, Positive, PositiveInt, Seed, Settings, Triple, setting
from txm2sem_core.config.compute import ComputeSettings

SMALLEST_PHANTOM_PX = 16  # along Y and X, for slices worth registering
MOST_PHASES = 5  # that figures have colours for


class MilledSettings(Settings):
    """A milled stack of FIB-SEM slices that lies obliquely in the phantom's volume, in the folder `milled/`."""

    slices: Annotated[int, Field(ge=0)] = setting(0, "slices of the stack, 0 = none")
    tilt_deg: Annotated[float, Field(ge=0, le=45)] = setting(10.0, "angle between its normal and the z axis")
    towards_deg: float = setting(30.0, "direction in the xy plane in which the tilt raises it, from x towards y")
    turn_deg: float = setting(20.0, "turn of the slices in their plane, x towards y")
    mirrored: bool = setting(False, "whether they are mirrored")
    pixel: Annotated[float, Field(ge=0.05, le=2)] = setting(1.0, "width of a pixel, in widths of voxels")
    share: Annotated[float, Field(gt=0, le=1)] = setting(0.6, "side of the slices, as a share of the TXM slices' sides")
    spacing: Positive = setting(4.0, "distance of the slices, in widths of voxels")
    jitter: NonNegative = setting(
        0.3, "standard deviation of each slice's own shift along three axes, in widths of voxels"
    )


class PhantomSettings(Settings):
    """A synthetic shale and its two acquisitions. Fractions are of the whole volume."""

    reruns: ClassVar[str] = "the phantom and all after it"

    shape: tuple[PositiveInt, PositiveInt, PositiveInt] = setting((128, 1024, 1024), "voxels along Z, Y, X")
    voxel_size_nm: Triple = setting((32.0, 32.0, 32.0), "along Z, Y, X")
    seed: Seed = setting(0, "another number gives another rock and other noise")
    pair_every: PositiveInt = setting(8, "slices from one FIB-SEM partner to the next")
    beam_energy_kev: Positive = setting(8.0, "X-ray energy")
    max_rotation_deg: NonNegative = setting(3.0, "how far the FIB-SEM slices may be turned")
    max_scale_percent: NonNegative = setting(2.0, "how far their scale may differ")
    max_shift_px: NonNegative = setting(12.0, "how far they may be shifted")
    misfit_px: Annotated[float, Field(ge=0, le=8)] = setting(
        0.0,
        "how far they are bent besides: root mean square length, in TXM pixels, of a smooth displacement that no "
        "transform takes away, 0 = not",
    )
    psf_fwhm_nm: Triple = setting((120.0, 90.0, 90.0), "width of the TXM's point-spread function along Z, Y, X")
    super_resolution: Literal[1, 2, 4, 8] = setting(
        1,
        "FIB-SEM pixels to a TXM pixel along Y and X, as in the sample's column of this name; `shape`, `voxel_size_nm` "
        "and lengths in pixels are then those of the FIB-SEM",
    )
    photons: Positive = setting(20000.0, "mean detected photons a projection pixel without sample")
    further_energies_kev: Annotated[tuple[Positive, ...], Field(max_length=2)] = setting(
        (),
        "X-ray energies of further scans of the same rock, each with grey levels and noise of its own; what columns "
        "`txm_2` and `txm_volume_2` are to a sample of your own",
    )
    further_photons: Positive = setting(20000.0, "as `photons`, of further scans")
    sem_electrons: Positive = setting(300.0, "mean detected electrons a pixel at full scale")
    milled: MilledSettings = MilledSettings()

    @model_validator(mode="after")
    def _txm_pixels_are_whole(self) -> PhantomSettings:
        factor = self.super_resolution
        if self.shape[1] % factor or self.shape[2] % factor:
            raise ValueError(
                f"shape must have multiples of super_resolution = {factor} along Y and X, not {self.shape}"
            )
        if factor > 1 and self.milled.slices:
            raise ValueError("super_resolution above 1 does not go with milled.slices: those have pixels of their own")
        if factor > 1 and self.further_energies_kev:
            raise ValueError(
                "super_resolution above 1 does not go with further_energies_kev: one scan alone can be finer"
            )
        return self

    @property
    def txm_voxel_size_nm(self) -> tuple[float, float, float]:
        """Voxel size (Z, Y, X) of the TXM."""
        z_nm, y_nm, x_nm = self.voxel_size_nm
        return z_nm, y_nm * self.super_resolution, x_nm * self.super_resolution


class CurtainSettings(Settings):
    """Curtains of FIB-SEM slices, and whether they are taken out: before registration, and for good."""

    direction: Literal["none", "vertical", "horizontal"] = setting(
        "none",
        "which way the stripes run that are taken out of FIB-SEM slices; needs `pip install pywavelets` "
        "([what it costs](../docs/evidence/placing.md#curtains))",
    )
    width_px: Annotated[float, Field(ge=2, le=256)] = setting(16.0, "about how wide they are at most, FIB-SEM pixels")
    length_px: Annotated[float, Field(ge=8)] = setting(
        200.0, "about how long they are at least, FIB-SEM pixels; what is shorter is left as rock"
    )


class RegisterSettings(Settings):
    """How the FIB-SEM slice (moving) is brought onto the TXM slice (fixed)."""

    reruns: ClassVar[str] = "registration and all after it"

    transform: Literal["none", "translation", "rigid", "similarity", "affine"] = setting(
        "similarity",
        "`none`: already registered, pairs pass through untouched; `rigid`: shift and turn; "
        "`similarity`: one scale as well; `affine`: a stretch too, but not of slices that are sought in a volume",
    )
    median_px: Annotated[int, Field(ge=0, le=15)] = setting(
        3, "side of the median filter before the search, 0 or 1 = off; the images that are kept are not filtered"
    )
    smooth_px: NonNegative = setting(1.0, "sigma of the Gaussian filter before the search")
    levels: Annotated[int, Field(ge=1, le=6)] = setting(4, "coarse-to-fine levels, each half the size of the next")
    max_rotation_deg: Annotated[float, Field(ge=0, le=180)] = setting(
        180.0,
        "how far a FIB-SEM slice may be turned; turns of more than 15 degrees are tried only where none below is "
        "accepted",
    )
    max_scale_percent: NonNegative = setting(
        15.0, "how far the scale may lie from 1 or from that which the pixel sizes state, before `scales` are tried"
    )
    scales: tuple[Positive, Positive] = setting(
        (0.1, 2.0),
        "least and greatest width of a FIB-SEM pixel, in TXM pixels, where neither fits; `[1, 1]`: no others",
    )
    mirrored: bool = setting(True, "whether a FIB-SEM slice may be mirrored; tried only where it is refused as it is")
    max_tilt_deg: Annotated[float, Field(ge=0, le=30)] = setting(
        15.0, "how far a FIB-SEM slice's normal may lie from the z axis, where its plane is sought in the volume"
    )
    max_shift_fraction: Fraction = setting(
        1.0, "bound of the centre's shift, as a share of the TXM slice's shorter side; 1 = anywhere"
    )
    min_overlap: Annotated[float, Field(gt=0, le=1)] = setting(
        0.04,
        "share of what was measured of the TXM slice that the FIB-SEM slice must cover; less than half is tried only "
        "where no more is accepted",
    )
    min_similarity: NonNegative = setting(
        0.02,
        "by how much the normalised mutual information must exceed that of the slices displaced against each other; of "
        "slices that share fewer than 80 x 80 pixels more is asked",
    )
    max_disagreement_px: Positive = setting(
        2.0, "greatest corner distance between the whole slice's transform and that of its better half alone"
    )
    bend_px: Annotated[float, Field(ge=0, le=20)] = setting(
        0.0,
        "by how much an accepted FIB-SEM slice may be bent, in TXM pixels, so that it fits everywhere "
        "([when](../docs/guides/your-own-data.md#pairs-that-do-not-fit-everywhere)); kept only where parts of the "
        "image that had no say become more alike; 0 = off",
    )
    bend_spacing_px: Annotated[float, Field(ge=16, le=1024)] = setting(
        48.0, "distance of the nodes of the bend, in TXM pixels: it follows nothing finer"
    )
    landmarks: Literal["start", "exact"] = setting(
        "start",
        "points marked by hand (column `landmarks` of the sample table): the search starts from their transform, or it "
        "is taken as it is and not judged",
    )
    curtains: CurtainSettings = CurtainSettings()
    refused: Literal["exclude", "stop"] = setting(
        "exclude", "a pair that is refused: left out and named in `quality.csv`, or the end of the run"
    )

    @model_validator(mode="after")
    def _belongs_together(self) -> RegisterSettings:
        if self.scales[0] > self.scales[1]:
            raise ValueError(f"scales must be the least and then the greatest, not {self.scales[0]}, {self.scales[1]}")
        if self.bend_px and self.transform == "none":
            raise ValueError("bend_px must be 0 where transform is none, which leaves pairs as they are")
        return self


class SplitSettings(Settings):
    """Shares of the pairs, by position in z: the first go to training, then validation, then test."""

    train: Fraction = setting(0.7, "share of the pairs for training, the first along z")
    validation: Fraction = setting(0.15, "share that follows")
    test: Fraction = setting(0.15, "share that comes last")

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitSettings:
        if abs(self.train + self.validation + self.test - 1) > 1e-6:
            raise ValueError("train, validation and test must add up to 1")
        return self


class TxmSettings(Settings):
    """What is done to the TXM before patches are cut; published, and none by default."""

    equalise: Fraction = setting(
        0.0,
        "clip limit of contrast-limited adaptive equalisation of each TXM slice, 0 = off; not with super-resolution",
    )
    contrast: Positive = setting(1.0, "factor by which each TXM slice is stretched about its mean")
    offset_px: tuple[int, int] = setting(
        (0, 0), "y, x: training pairs are displaced by so many pixels, to study misalignment"
    )


class PatchesSettings(Settings):
    """How pairs are split and cut into patches."""

    reruns: ClassVar[str] = "patches and all after them"

    size_px: Annotated[int, Field(ge=8)] = setting(256, "side of a patch, SEM pixels; a multiple of `grid_px`")
    train: PositiveInt = setting(10000, "training patches, drawn at random; an epoch shows each once")
    evaluation: Literal["grid", "random"] = setting(
        "grid", "validation and test patches: side by side, or drawn at random"
    )
    evaluation_count: PositiveInt = setting(100, "at most so many validation and so many test patches")
    grid_px: PositiveInt = setting(4, "positions are multiples of it; every super-resolution factor must divide it")
    context: Annotated[int, Field(ge=0, le=3)] = setting(
        0,
        "TXM slices below and above that a patch is cut with",
        shown=(
            "as many as the variants need, of each sample by itself; a variant that needs more than all "
            "before cuts the patches of all again, which is said before anything runs"
        ),
    )
    min_uncharged: Fraction = setting(0.95, "share of a patch's pixels that must have been measured and be uncharged")
    min_nonzero: Fraction = setting(
        0.0, "share that must not be zero in both images, as published; 0 = off, since 0 is a grey level too"
    )
    percentiles: tuple[float, float] = setting((0.05, 99.95), "of the training pixels; mapped to -1 and 1")
    txm: TxmSettings = TxmSettings()
    split: SplitSettings = SplitSettings()
    seed: Seed = setting(999, "of the random positions")

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

    reruns: ClassVar[str] = "coarse patches and volumes, super-resolution variants"

    method: Literal["nearest", "area", "psf"] = setting(
        "area", "`nearest` is the published one, which aliases; `psf`: Gaussian and noise"
    )
    psf_sigma_px: Positive = setting(0.5, "of `psf`: sigma of the Gaussian, in coarse pixels")
    noise_sigma: NonNegative = setting(0.0, "of `psf`: share of the TXM's intensity range")
    seed: Seed = setting(0, "of the noise")


class UncertaintySettings(Settings):
    """How the uncertainty of predictions is estimated; neither way by default."""

    ensemble: bool = setting(
        False,
        "of every trained variant also the mean over the models of all `seeds` (two at least), with "
        "their spread: `volumes/{variant}/ensemble/`",
        reruns="the ensembles' predictions, tables, figures",
    )
    dropout_samples: Annotated[int, Field(ge=0)] = setting(
        0,
        "passes with active dropout, whose mean and spread stand for each seed's prediction; of "
        "variants whose `generator.dropout` is on (`unet_32` and the filters have no place for it), "
        "the others stay as they are; 0 = off, else at least 2",
        reruns="predictions of these variants and all after them",
    )
    seed: Seed = setting(0, "of the dropout", reruns="the same, if it is on")

    @model_validator(mode="after")
    def _one_pass_has_no_spread(self) -> UncertaintySettings:
        if self.dropout_samples == 1:
            raise ValueError("dropout_samples must be 0 (off) or at least 2: one pass has no spread")
        return self


class PredictSettings(Settings):
    """How volumes are predicted and written."""

    reruns: ClassVar[str] = "predictions and all after them"

    tile_px: Annotated[int, Field(ge=0)] = setting(
        0, "side of a tile in TXM pixels; 0 = no tiles: whole planes, large ones by rows"
    )
    overlap_px: Annotated[int, Field(ge=0)] = setting(32, "width over which neighbouring tiles are blended")
    samples: Annotated[int, Field(ge=1, le=1000)] = setting(
        5,
        "volumes that are drawn for each seed of a variant of the family `flow`; the first is its prediction, and the "
        "rock of all is measured",
        reruns="further or fewer samples, their rock metrics, report",
    )
    coherence: Annotated[float, Field(ge=0, le=10)] | Literal["auto"] = setting(
        "auto",
        "of samples: how far the noise holds together along z, as a share of its size in the plane; `auto`: so far "
        "that samples change from slice to slice as much as FIB-SEM slices do in their plane over the same distance, "
        "or as the TXM shows that the rock changes more or less along z",
    )
    guided_steps: Annotated[int, Field(ge=0, le=1000)] = setting(
        4,
        "of samples: steps in which they are drawn so that they explain the measured TXM (see [how]"
        "(../docs/method/method.md#guided-by-the-txm)); 0: from each TXM slice by itself, in `flow.steps` steps",
    )
    jobs: Annotated[int, Field(ge=1, le=1000)] = setting(
        1,
        "a volume is predicted by so many jobs, each a slab of whole units of 16 slices, and then "
        "closed by one more; the same bytes whatever the number",
        reruns="volumes and all after them",
    )
    keep: Literal["all", "shown"] = setting(
        "all",
        "which volumes stay; `shown`: those of each variant's first seed and of ensembles, the others are removed when "
        "what is measured of them is there",
        reruns="nothing; from `shown` to `all` the volumes of seeds that were removed, and their measures",
    )
    ome_zarr: Literal["0.5", "0.4"] = setting(
        "0.5",
        "version of OME-Zarr that volumes are written in; `0.4`, on zarr 2, has more files and no checksums, and is "
        "for [viewers](../docs/guides/other-programs.md#volumes) that cannot read 0.5 yet",
        reruns="volumes and all after them",
    )
    compute: ComputeSettings = ComputeSettings()
    uncertainty: UncertaintySettings = UncertaintySettings()


class RockSettings(Settings):
    """Figures of the pores of volumes."""

    reruns: ClassVar[str] = "metrics of the rock, report"

    cube_px: Annotated[int, Field(ge=0)] = setting(
        128,
        "side of the blocks in which pore sizes and flow are taken; 0 = the whole volume",
    )
    blocks: Annotated[int, Field(ge=1)] = setting(
        8,
        "of those, as many as fit without overlap, at most so many, spread evenly over the volume; 1 = from its middle",
    )
    flow: bool | Literal["samples"] = setting(
        False,
        "diffusivity, tortuosity and permeability, minutes for 128 cubed voxels; `samples`: in the volumes of variants "
        "that draw samples and in the truth alone",
    )
    axes: Annotated[tuple[Literal["z", "y", "x"], ...], Field(min_length=1)] = setting(
        ("x", "y", "z"), "along which flow is solved; the first is the axis of flow that the report begins with"
    )

    @model_validator(mode="after")
    def _axes_differ(self) -> RockSettings:
        if len(set(self.axes)) < len(self.axes):
            raise ValueError(f"axes must differ from one another, they are {list(self.axes)}")
        return self

    def of_volume(self, *, samples: bool) -> RockSettings:
        """What the jobs of a volume depend on, which is a sample or the truth, or is none."""
        flow = self.flow is True or (self.flow == "samples" and samples)
        axes = tuple(axis for axis in ("z", "y", "x") if axis in self.axes or not flow)
        return self.model_copy(update={"flow": flow, "axes": axes})


class ForestSettings(Settings):
    """A random-forest pixel classifier, trained on the sample's label images."""

    reruns: ClassVar[str] = "with `segmentation: forest`: metrics of the volumes and of the rock; the report"

    trees: Annotated[int, Field(ge=1, le=1000)] = setting(50, "number of trees")
    depth: Annotated[int, Field(ge=1, le=50)] = setting(12, "of each tree, at most")
    largest_px: Annotated[float, Field(ge=1, le=32)] = setting(
        8.0, "sigma of the Gaussian of the coarsest features, pixels; those of 1, 2, 4, ... pixels come with it"
    )
    pixels: Annotated[int, Field(ge=10)] = setting(10000, "labelled pixels of each phase that are learnt from, at most")
    seed: Annotated[int, Field(ge=0)] = setting(0, "of the forest and of the pixels drawn")


class MeasureSettings(Settings):
    """What the metrics need to know."""

    reruns: ClassVar[str] = "metrics of the volumes and of the rock, report"

    data_range: Positive | Literal["auto"] = setting(
        "auto",
        "of PSNR and SSIM; `auto`: 255 for 8-bit SEM images, else their recorded range",
        reruns="metrics, figures, report",
    )
    phases: Annotated[int, Field(ge=2, le=MOST_PHASES)] = setting(
        4, "classes of the segmentation of volumes", reruns="metrics, figures, report"
    )
    segmentation: Literal["thresholds", "labels", "forest"] = setting(
        "thresholds",
        "how phases are separated: `labels`: by the thresholds that best separate the pixels of the "
        "sample's label images; `forest`: by a random forest on grey level, edges and texture, "
        "trained on them ([which to choose](../docs/method/measures.md#separating-the-phases))",
        reruns="placing the labels, metrics of the volumes and of the rock, report",
    )
    thresholds: tuple[float, ...] = setting(
        (),
        "SEM grey levels, ascending, that separate the phases of volumes, of `segmentation: "
        "thresholds`; empty: multi-Otsu on the training SEM images",
    )
    seeds: Literal["all", "first"] | Annotated[tuple[Seed, ...], Field(min_length=1)] = setting(
        "all",
        "whose volumes are measured, with their rock and consistency: of all seeds, which intervals over trainings "
        "need; of the `first` alone; or of a list that begins with it. Test patches are scored of all seeds in any "
        "case ([what it saves](../docs/method/measures.md#measuring-volumes))",
        reruns="metrics of the volumes that are measured now and were not before; tables, figures, report",
    )
    forest: ForestSettings = ForestSettings()
    rock: RockSettings = RockSettings()

    @model_validator(mode="after")
    def _one_segmentation(self) -> MeasureSettings:
        if any(not math.isfinite(level) for level in self.thresholds) or any(
            low >= high for low, high in itertools.pairwise(self.thresholds)
        ):
            raise ValueError(f"thresholds must be ascending grey levels, they are {list(self.thresholds)}")
        if len(self.thresholds) >= MOST_PHASES:
            raise ValueError(
                f"thresholds: at most {MOST_PHASES - 1}, which separate {MOST_PHASES} phases, can be drawn"
            )
        if self.thresholds and self.segmentation != "thresholds":
            raise ValueError(
                f"thresholds are given, but segmentation is {self.segmentation}: leave them out, or choose thresholds"
            )
        return self
