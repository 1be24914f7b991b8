"""Every figure in one list: its rule, its captions and its place in the report follow from its entry here."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Literal

from txm2sem_core.catalogue.metrics import METRICS
from txm2sem_core.config.figures import FigureSettings
from txm2sem_core.samples.files import SampleFiles

Values = Mapping[str, str]  # of the parts of a file's name that differ from figure to figure
Files = str | Sequence[str]
ROCK_SHOWN = (
    "porosity",
    "porosity_connected_x",
    "porosity_connected_z",
    "specific_surface_per_um",
    "euler_per_um3",
    "mean_chord_z_nm",
    "pore_diameter_nm_median",
    "permeability_x_nd",
    "permeability_z_nd",
)
Raw = Literal["pairs", "volume", "truth", "labels"]


@dataclass(frozen=True)
class Caption:
    """Title and text of a figure's caption."""

    title: str
    text: str


@dataclass(frozen=True)
class Sources:
    """The results that a figure is drawn from, by the names of the parameters of its function.

    Attributes:
        tables: small files, which are compared by content.
        images: patches and volumes, each of which has a digest beside it.
        beside: further large files, which change with one of the images.
        store: folders of patch stores; the function gets the `store.json` of one.
    """

    tables: Mapping[str, Files] = field(default_factory=dict)
    images: Mapping[str, Files] = field(default_factory=dict)
    beside: Mapping[str, Files] = field(default_factory=dict)
    store: Files = ()


def _once(here: SampleFiles, style: FigureSettings) -> list[dict[str, Any]]:
    """One figure of each sample."""
    return [{}]


def _with_volume(here: SampleFiles, style: FigureSettings) -> list[dict[str, Any]]:
    """One figure of each sample that has a TXM volume."""
    return [{}] * here.has_volume


@dataclass(frozen=True)
class Figure:
    """A figure, or several of one kind.

    Attributes:
        name: of its rule, after `draw_`, and of its group of `config/figures.yaml` unless `style` names another.
        function: that draws it, `module:function` of this package. What it is called with are the rule's inputs, params
            and wildcards, by the names of its parameters (`workflow/scripts/call_function.py`). Its module should draw
            nothing else: the figure is drawn again where the code of the module, or code that it imports, changes.
        captions: by the first word of the file's name.
        sources: what it is drawn from.
        params: what else its function is given, and what else draws it again where it changes.
        raw: which of the user's own files, or of a phantom's, it is drawn from.
        file: in `figures/`, without a suffix; in braces what differs within the kind.
        values: what stands there, of each figure of a sample; none where there is nothing to draw.
        style: group of `config/figures.yaml`.
        log: its log and benchmark, as `file`.
    """

    name: str
    function: str
    captions: Mapping[str, Caption]
    sources: Callable[[SampleFiles, Values], Sources]
    params: Mapping[str, Callable[[SampleFiles, Values], Any]] = field(default_factory=dict)
    raw: tuple[Raw, ...] = ()
    file: str = ""
    values: Callable[[SampleFiles, FigureSettings], list[dict[str, Any]]] = _once
    style: str = ""
    log: str = ""

    def __post_init__(self) -> None:
        for key, default in (("file", self.name), ("style", self.name)):
            object.__setattr__(self, key, getattr(self, key) or default)
        object.__setattr__(self, "log", self.log or f"draw_{self.file}")

    def names(self, here: SampleFiles, style: FigureSettings) -> list[str]:
        """The figures of a sample: paths in `figures/` without a suffix."""
        return [self.file.format(**values) for values in self.values(here, style)]


def _variants(here: SampleFiles, values: Values) -> str:
    """Names of the variants in charts and maps."""
    return json.dumps([run.variant for run in here.runs.drawn])


def _all_variants(here: SampleFiles, values: Values) -> str:
    """`_variants`, then those of side tasks, which no chart shows beside them."""
    return json.dumps(list(dict.fromkeys(run.variant for run in (*here.runs.drawn, *here.runs.trained))))


def _rock_headings(here: SampleFiles, values: Values) -> str:
    """Headings of the metrics in the figure of the rock."""
    return json.dumps({metric: METRICS[metric].heading for metric in ROCK_SHOWN})


def _maps(here: SampleFiles, values: Values) -> Sources:
    """Of maps of the rock."""
    volumes = [here.volume(run.folder) for run in here.runs.drawn]
    return Sources(images={"volumes": volumes}, store=here.store())


def _uncertainty(here: SampleFiles, values: Values) -> Sources:
    predictions, judged = f"{here.folder}/predictions/{values['run']}", here.judged_volumes(values["run"])
    return Sources(
        tables={
            "calibration": f"{predictions}/calibration.json",
            "scores": here.metrics(f"{values['run']}/uncertainty.csv"),
            "reliability": here.metrics(f"{values['run']}/reliability.csv"),
        },
        images={"patches": here.patches(values["run"]), **({"volume": judged[0]} if judged else {})},
        beside={"spread": f"{predictions}/spread.tif"},
        store=here.store(),
    )


_MAP_PARAMS: Mapping[str, Callable[[SampleFiles, Values], Any]] = {
    "measure": lambda here, values: here.phase_settings(),
    "phase_labels": lambda here, values: here.labels,
    "variants": _variants,
    "truth": lambda here, values: here.truth,
}

FIGURES = (
    Figure(
        name="comparison",
        function="figures.comparison:comparison_figure",
        captions={
            "comparison": Caption(
                "Comparison",
                "Mean PSNR and SSIM over the test slices with their standard errors over slices, none of a single one; "
                "learned variants and baselines apart. The dashed line stands at the best baseline.",
            )
        },
        sources=lambda here, values: Sources(
            tables={"summary": here.metrics("summary.csv"), "patches": here.metrics("patches.csv")}
        ),
    ),
    Figure(
        name="montage",
        function="figures.montage:montage_figure",
        captions={
            "montage": Caption(
                "Test patch",
                "One test patch: TXM, prediction, FIB-SEM and error of every variant. Predictions and FIB-SEM share "
                "one grey scale, errors one colour scale.",
            )
        },
        sources=lambda here, values: Sources(
            images={"predicted": [here.patches(run.folder) for run in here.runs.first]},
            store=sorted({here.store(run.factor) for run in here.runs.first}),
        ),
        params={
            "measure": lambda here, values: here.measure_settings("data_range"),
            "variants": lambda here, values: json.dumps([run.variant for run in here.runs.first]),
            "patches": lambda here, values: [here.store(run.factor) for run in here.runs.first],
        },
        file="montage_{number}",
        values=lambda here, style: [{"number": number + 1} for number in range(style.montage.patches)],
    ),
    Figure(
        name="sections",
        function="figures.sections:sections_figure",
        captions={
            "sections": Caption(
                "Sections",
                "Sections through the middle of the volumes in all three planes, at one physical scale. Lines show "
                "where the other planes cut. A volume much flatter than wide is shown around its middle only. What was "
                "not measured is blue.",
            )
        },
        sources=lambda here, values: Sources(
            images={"predicted": here.volume(here.runs.first_of(values["variant"]).folder)}, store=here.store()
        ),
        params={
            "txm": lambda here, values: str(here.txm_volume),
            "txm_measured": lambda here, values: here.sample.txm_volume_measured or "",
            "truth": lambda here, values: here.truth,
        },
        raw=("volume",),
        file="sections/{variant}",
        values=lambda here, style: [{"variant": name} for name in here.config.trained if here.has_volume],
    ),
    Figure(
        name="phases",
        function="figures.phases:phases_figure",
        captions={
            "phases": Caption(
                "Phases",
                "The middle slice of every volume, separated by one segmentation for all (measure.segmentation); Dice "
                "coefficients of the darkest phase are against the truth. Thresholds know grey levels, not minerals. "
                "What was not measured is white.",
            )
        },
        sources=_maps,
        params=_MAP_PARAMS,
        raw=("truth", "labels"),
        values=_with_volume,
    ),
    Figure(
        name="pore_space",
        function="figures.pore_space:pore_space_figure",
        captions={
            "pore_space": Caption(
                "Pore space",
                "Walls of the darkest phase in a block from the middle of the volumes, from one point of view; z runs "
                "into the depth. Where a part was not measured, the block is from the largest box that was.",
            )
        },
        sources=_maps,
        params=_MAP_PARAMS,
        raw=("truth", "labels"),
        values=_with_volume,
    ),
    Figure(
        name="rock",
        function="figures.rock:rock_figure",
        captions={
            "rock": Caption(
                "Rock",
                "Metrics of the rock by variant: mean over its volumes (seeds and samples), small points the volumes; "
                "thick the 90 % interval of another training, thin that of the rock that the volume is a piece of, "
                "both of two seeds at least. The line is the true volume, the band its rock, by its finite size alone.",
            )
        },
        sources=lambda here, values: Sources(
            tables={"volumes": here.metrics("rock.csv"), "intervals": here.metrics("rock_intervals.csv")}
        ),
        params={"variants": _variants, "headings": _rock_headings},
        values=_with_volume,
        style="comparison",
    ),
    Figure(
        name="distributions",
        function="figures.distributions:distributions_figure",
        captions={
            "distributions": Caption(
                "Pores in numbers",
                "Probability that two points so far apart both lie in the pores, along each axis; share of chords "
                "through pores that are no longer (below 1: the rest is longer than the volume shows); share of the "
                "pores' volume that no wider ball fits into, which is about a voxel too small for round pores. Bands: "
                "the range over seeds and samples.",
            )
        },
        sources=lambda here, values: Sources(tables={"distributions": here.metrics("rock_distributions.csv")}),
        params={"variants": _variants},
        values=_with_volume,
    ),
    Figure(
        name="representative",
        function="figures.representative:representative_figure",
        captions={
            "representative": Caption(
                "Representative volume",
                "Standard deviation of the rock's metrics over blocks of the volume, as a share of the mean, against "
                "the edge of a block (of a cube of as many voxels); the last point is the whole volume, of which the "
                "deviation from the rock that it is cut out of is estimated. A line that is still high there says that "
                "the volume is too small for that metric. Bands: the range over seeds and samples.",
            )
        },
        sources=lambda here, values: Sources(tables={"sizes": here.metrics("rock_sizes.csv")}),
        params={"variants": _variants, "headings": _rock_headings},
        values=_with_volume,
        style="distributions",
    ),
    Figure(
        name="uncertainty",
        function="figures.uncertainty:uncertainty_figure",
        captions={
            "uncertainty": Caption(
                "Uncertainty",
                "A prediction, its stated uncertainty and its true error on one colour scale; below, the error against "
                "what is stated (on the dotted diagonal both agree), and the share of pixels whose error is covered, "
                "before and after the calibration on the validation patches; the dotted lines are the shares of "
                "Gaussian errors.",
            )
        },
        sources=_uncertainty,
        params={"truth": lambda here, values: here.truth},
        file="uncertainty/{run}",
        values=lambda here, style: [{"run": run.folder} for run in here.runs.uncertain],
    ),
    Figure(
        name="side_task",
        function="figures.side_task:side_task_figure",
        captions={
            "repair": Caption(
                "Repair",
                "Test patches of a repair: TXM, the FIB-SEM with damage laid over it (white, as the network sees it), "
                "the repair, what linear interpolation makes of the pixels around, and the FIB-SEM as it was.",
            ),
            "segmentation": Caption(
                "Segmentation",
                "Test patches: TXM, FIB-SEM, the predicted classes and the true ones.",
            ),
        },
        sources=lambda here, values: Sources(
            images={"patches": here.patches(here.runs.first_of(values["variant"]).folder)}, store=here.store()
        ),
        file="{task}/{variant}",
        values=lambda here, style: [
            {"task": task, "variant": variant}
            for task in here.runs.tasks
            for variant in dict.fromkeys(run.variant for run in here.runs.of_task(task))
        ],
        style="montage",
        log="draw_side_task/{task}_{variant}",
    ),
    Figure(
        name="spectra",
        function="figures.spectra:spectra_figure",
        captions={
            "spectra": Caption(
                "Spectra and resolution",
                "Power against spatial frequency, of test patches and of volumes along z; and the correlation of each "
                "ring of frequencies with the measured FIB-SEM, whose own noise bounds it. Bands: the range over "
                "seeds.",
            )
        },
        sources=lambda here, values: Sources(
            tables={
                "spectra": here.metrics("spectra.csv"),
                "resolution": here.metrics("resolution.csv"),
                **({"volume_spectra": here.metrics("volume_spectra.csv")} if here.has_volume else {}),
            }
        ),
        params={"variants": _variants},
    ),
    Figure(
        name="curves",
        function="figures.curves:curves_figure",
        captions={
            "curves": Caption(
                "Training",
                "Scores on the validation patches and training losses over the epochs; several seeds as mean and "
                "range.",
            )
        },
        sources=lambda here, values: Sources(tables={"histories": here.models(here.runs.trained, "history.csv")}),
        params={
            "runs": lambda here, values: json.dumps([(run.variant, run.seed) for run in here.runs.trained]),
            "variants": _all_variants,
        },
        values=lambda here, style: [{}] if here.runs.trained else [],
    ),
    Figure(
        name="registration",
        function="figures.registration:registration_figure",
        captions={
            "registration": Caption(
                "Registration",
                "Checkerboards of TXM and FIB-SEM slices as acquired and registered. The worst pair comes first. Blue "
                "is where the FIB-SEM slice does not reach, and what was not measured.",
            )
        },
        sources=lambda here, values: Sources(
            tables={
                "quality": f"{here.folder}/registered/quality.csv",
                "transforms": f"{here.folder}/registered/transforms.json",
            }
        ),
        params={"sample": lambda here, values: here.row()},
        raw=("pairs",),
    ),
    Figure(
        name="planes",
        function="figures.planes:planes_figure",
        captions={
            "planes": Caption(
                "Planes in the volume",
                "Where the FIB-SEM slices that were sought in the TXM volume lie in it, from one point of view and "
                "along y; z runs into the depth. The grey faces are the volume's own, behind the planes.",
            )
        },
        sources=lambda here, values: Sources(tables={"quality": f"{here.folder}/registered/quality.csv"}),
        params={"sample": lambda here, values: here.row()},
        raw=("volume", "pairs"),
        values=lambda here, style: [{}] * here.sample.sought,
        style="pore_space",
    ),
)


def figure_names(here: SampleFiles, style: FigureSettings) -> list[str]:
    """The figures of a sample in the order of the report: paths in `figures/` without a suffix."""
    return [name for figure in FIGURES for name in figure.names(here, style)]


def caption_of(name: str) -> Caption:
    """Title and caption of the figure at a path in `figures/`, without a suffix: with its number, variant or run."""
    first, *others = PurePath(name).parts
    kinds = {key: caption for figure in FIGURES for key, caption in figure.captions.items()}
    kind = max((key for key in kinds if first == key or first.startswith(f"{key}_")), key=len)
    title, text = kinds[kind].title, kinds[kind].text
    rest = " ".join([first[len(kind) + 1 :], *others]).replace("_", " ").strip()
    return Caption(f"{title} {rest}" if rest.isdigit() else f"{title}: {rest}" if rest else title, text)
