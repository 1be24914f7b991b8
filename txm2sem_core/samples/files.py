"""The paths of a sample's files, and what the jobs of a run get of its table."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from txm2sem_core.config import Config, DownsampleSettings, Run, Runs
from txm2sem_core.samples.further import further_columns, further_folders
from txm2sem_core.samples.table import Sample
from txm2sem_core.samples.volume import volume_path


@dataclass(frozen=True)
class SampleFiles:
    """The files of one sample: the user's, and those of its results.

    Paths are texts as they stand in the configuration and the table, since Snakemake compares them as texts.
    """

    sample: Sample
    config: Config
    runs: Runs

    @property
    def name(self) -> str:
        """Of the sample."""
        return self.sample.sample

    @property
    def folder(self) -> str:
        """Of its results."""
        return f"{self.config.results_dir}/{self.name}"

    @property
    def raw(self) -> Path:
        """Where a phantom's raw files lie."""
        return Path(self.folder, "raw")

    # --- what there is

    @property
    def has_truth(self) -> bool:
        """Whether the true FIB-SEM volume is known."""
        return self.sample.source == "phantom"

    @property
    def has_volume(self) -> bool:
        """Whether there is a TXM volume to predict from."""
        return self.txm_volume is not None

    @property
    def txm_volume(self) -> str | None:
        """The TXM volume as it was measured."""
        path = volume_path(self.sample, self.raw)
        return None if path is None else str(path)

    @property
    def truth(self) -> str:
        """The true FIB-SEM volume, or nothing."""
        return f"{self.folder}/raw/truth/sem.tif" if self.has_truth else ""

    # --- results

    def store(self, factor: int = 1) -> str:
        """Folder of the patch store with TXM images coarser by this factor."""
        return f"{self.folder}/patches" + ("" if factor == 1 else f"_x{factor}")

    def models(self, runs: tuple[Run, ...], file: str) -> list[str]:
        """A file of the model of each run."""
        return [f"{self.folder}/models/{run.folder}/{file}" for run in runs]

    def patches(self, run: str) -> str:
        """The predicted test patches of a run, by its folder."""
        return f"{self.folder}/predictions/{run}/patches.tif"

    def volume(self, run: str) -> str:
        """The predicted volume of a run, by its folder."""
        return f"{self.folder}/volumes/{run}/sem.ome.zarr"

    def volumes(self, runs: tuple[Run, ...]) -> list[str]:
        """The predicted volume of each run; none where there is no TXM volume to predict from."""
        return [self.volume(run.folder) for run in runs] if self.has_volume else []

    @property
    def predicted(self) -> tuple[Run, ...]:
        """Those whose volumes are made, but further samples: of those that pass, what something is made of."""
        read = {*self.runs.measured_volumes, *(self.runs.uncertain if self.has_truth else ())}
        idle = set() if self.config.tiff_volumes else set(self.runs.passing) - read
        return tuple(run for run in self.runs.measured if run not in idle)

    def judged_volumes(self, run: str) -> list[str]:
        """The predicted volume of a run, by its folder, where a true one says how wrong it is."""
        return [self.volume(run)] if self.has_volume and self.has_truth else []

    def metrics(self, file: str) -> str:
        """The path of a table or JSON file in `metrics/`."""
        return f"{self.folder}/metrics/{file}"

    def measured(self, runs: tuple[Run, ...], file: str) -> list[str]:
        """What was measured of each run."""
        return [self.metrics(f"{run.folder}/{file}") for run in runs]

    @property
    def rocks(self) -> list[tuple[str, int | str, int, str]]:
        """Variant, seed, number of the sample and `rock.json` of all volumes whose rock is measured.

        The truth comes first where it is known, then the predictions of each seed of `measure.seeds`.
        """
        truth: list[tuple[str, int | str, int, str]] = [("truth", "", 1, self.metrics("truth/rock.json"))]
        own = [(run.variant, run.seed, run.draw, self.metrics(f"{run.folder}/rock.json")) for run in self.runs.rocks]
        return truth * self.has_truth + own

    # --- inputs of training and prediction

    def factor(self, variant: str) -> int:
        """By which the variant's TXM images are coarser."""
        return self.config.variant(variant).factor

    def downsampling(self, factor: int) -> DownsampleSettings:
        """How TXM images are made coarser by a factor; where that gives back what was measured, by means alone."""
        own = self.config.downsample
        return own if self.sample.finer() % factor else DownsampleSettings(method="area", seed=own.seed)

    def store_of(self, variant: str) -> str:
        """Folder of the patch store that a variant learns from."""
        return self.store(self.factor(variant))

    def input_volume(self, variant: str) -> str:
        """The TXM volume at the variant's factor: as measured, or made coarser by computation."""
        factor = self.factor(variant)
        return f"{self.store(factor)}/txm_volume.ome.zarr" if factor > 1 else str(self.txm_volume)

    def draws_from_volume(self, variant: str) -> bool:
        """Whether the variant's training draws slices from the TXM volume."""
        return self.config.variant(variant).z_penalty.stack > 0

    # --- options of commands

    def training_options(self, variant: str) -> str:
        """The TXM volume that the training draws slices from, if it does."""
        if not self.draws_from_volume(variant):
            return ""
        return " ".join([f"--volume {shlex.quote(self.input_volume(variant))}", *self._mask_options()])

    def volume_options(self, variant: str) -> str:
        """What the table says of the TXM volume.

        Its further scans, where the variant learns from them; the voxel size, which otherwise, and for coarser volumes,
        is the file's; and the mask of what was measured, which may be of the finer volume.
        """
        size = None if self.factor(variant) > 1 else self.sample.voxel_size_on_grid()
        options = [f"--further {shlex.quote(path)}" for path in self.further_volumes if self.sees_all_scans(variant)]
        options += [] if size is None else ["--voxel-size-nm " + " ".join(f"{axis:g}" for axis in size)]
        return " ".join([*options, *self._mask_options()])

    @property
    def further_volumes(self) -> tuple[str, ...]:
        """The TXM volumes of further scans."""
        if self.sample.source != "phantom":
            return self.sample.further_volumes
        return tuple(map(str, further_folders(self.raw, "txm_volume", self.config.phantom_of(self.name))))

    def sees_all_scans(self, variant: str) -> bool:
        """Whether a variant learns from all scans; baselines, and what sees a coarser TXM, learn from the first."""
        return self.config.variant(variant).rules.trained and self.factor(variant) == 1

    def _mask_options(self) -> list[str]:
        mask = self.sample.txm_volume_measured
        return [] if mask is None else [f"--measured {shlex.quote(mask)}"]

    # --- settings of jobs

    def measure_settings(self, *keys: str) -> str:
        """These keys of `measure:` as canonical JSON: a job depends on those alone that it is given."""
        return json.dumps(self.config.measure.model_dump(mode="json", include=set(keys)), sort_keys=True)

    def phase_settings(self, *keys: str) -> str:
        """The settings of the segmentation, and these keys; the settings of the forest only where there is one."""
        forest = ["forest"] * (self.config.measure.segmentation == "forest")
        return self.measure_settings("phases", "segmentation", "thresholds", *forest, *keys)

    def rock_settings(self, variant: str = "") -> str:
        """The settings of the segmentation, and those of the rock of a variant's volumes; of the truth without."""
        samples = not variant or self.config.variant(variant).rules.samples
        rock = self.config.measure.rock.of_volume(samples=samples)
        return json.dumps({**json.loads(self.phase_settings()), "rock": rock.model_dump(mode="json")}, sort_keys=True)

    @property
    def labels(self) -> str:
        """Folder of the label images on the registered slices, where they are used to separate the phases; or
        nothing.
        """
        return "" if self.config.measure.segmentation == "thresholds" else f"{self.folder}/labels"

    def row(self) -> str:
        """The row of the table as canonical JSON; without labels, which come after the training."""
        row = self.sample.model_dump(mode="json", exclude={"labels", "voxel_size_from"})
        further = {name for column in ("txm", "txm_volume") for name in further_columns(row, column)}
        further.add("registered_by")
        # runs of one scan and detector have the row that they had before there were others
        return json.dumps({key: row[key] for key in row if key not in further or row[key] is not None}, sort_keys=True)
