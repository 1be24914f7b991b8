"""The runs of a configuration: what is trained, predicted, measured and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from txm2sem_core.config.generators import BASELINES, FILTERS
from txm2sem_core.config.loading import Config


@dataclass(frozen=True)
class Run:
    """Predictions of one variant: by the model of one seed, or the mean over the models of all seeds, an ensemble."""

    variant: str
    seed: int  # of the model; of an ensemble the first one
    family: str
    generator: str
    factor: int
    models: int = 1  # more than one: an ensemble
    draw: int = 1  # which sample it is, of a variant that has several

    @property
    def kind(self) -> str:
        """`baseline` or `learned`: filters are trained, but count as baselines."""
        return "baseline" if self.generator in (*BASELINES, *FILTERS) else "learned"

    @property
    def name(self) -> str:
        """The run among those of its variant."""
        further = f"_sample{self.draw}" if self.draw > 1 else ""
        return "ensemble" if self.models > 1 else f"seed{self.seed}{further}"

    @property
    def folder(self) -> str:
        """Where its results lie in each folder of results by variant."""
        return f"{self.variant}/{self.name}"

    @property
    def label(self) -> str:
        """What the tables call its variant; an ensemble counts as one of its own."""
        return f"{self.variant}_ensemble" if self.models > 1 else self.variant

    @property
    def table_key(self) -> tuple[str, int | str]:
        """Variant and seed as tables of volumes name the run."""
        return self.label, "all" if self.models > 1 else self.seed

    def row(self) -> list[Any]:
        """The run as a list, which `of_row` reads."""
        return [self.label, self.seed, self.family, self.generator, self.factor, self.models]

    @classmethod
    def of_row(cls, row: Sequence[Any]) -> Run:
        """The run of which `row` is the list."""
        label, seed, family, generator, factor, models = row
        return cls(label.removesuffix("_ensemble") if models > 1 else label, seed, family, generator, factor, models)

    def columns(self) -> dict[str, Any]:
        """Its columns in tables."""
        names = ("variant", "seed", "family", "generator", "factor", "models")
        return {**dict(zip(names, self.row(), strict=True)), "kind": self.kind}


class Runs:
    """All runs of a configuration, chosen as the stages need them; each choice is in the order of the variants."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def _of(self, variant: str) -> tuple[Run, ...]:
        own = self.config.variant(variant)
        return tuple(
            Run(variant, seed, own.family, own.generator.name, own.factor) for seed in self.config.seeds_of(variant)
        )

    @cached_property
    def single(self) -> tuple[Run, ...]:
        """Each seed of each variant that translates TXM to SEM."""
        return tuple(run for variant in self.config.translations for run in self._of(variant))

    @cached_property
    def ensembles(self) -> tuple[Run, ...]:
        """The mean over all seeds of each variant that has an ensemble."""
        models, wanted = len(self.config.seeds), set(self.config.ensembles)
        return tuple(replace(run, models=models) for run in self.first if run.variant in wanted)

    @property
    def measured(self) -> tuple[Run, ...]:
        """Those whose predictions are measured: each seed of each variant, then the ensembles."""
        return self.single + self.ensembles

    @cached_property
    def measured_volumes(self) -> tuple[Run, ...]:
        """Those whose volumes are measured: the seeds of `measure.seeds`, then the ensembles."""
        return tuple(run for run in self.single if self._in_volumes(run)) + self.ensembles

    @cached_property
    def rocks(self) -> tuple[Run, ...]:
        """Those whose rock is measured: the volumes of the same seeds, then their further samples."""
        return tuple(run for run in self.single + self.further_samples if self._in_volumes(run))

    def _in_volumes(self, run: Run) -> bool:
        chosen = self.config.measure.seeds
        if chosen == "first":
            return run.seed == self.config.seeds_of(run.variant)[0]
        return chosen == "all" or run.seed in chosen

    @cached_property
    def first(self) -> tuple[Run, ...]:
        """Each variant with its first seed."""
        return tuple(run for run in self.single if run.seed == self.config.seeds_of(run.variant)[0])

    @property
    def shown(self) -> tuple[Run, ...]:
        """Those whose volumes the report shows."""
        return self.first + self.ensembles

    @cached_property
    def passing(self) -> tuple[Run, ...]:
        """Those whose volumes are removed when all that reads them is done (`predict.keep`)."""
        if self.config.predict.keep == "all":
            return ()
        return tuple(run for run in self.single + self.further_samples if run not in self.shown)

    @cached_property
    def trained(self) -> tuple[Run, ...]:
        """Those that have training curves: baselines are fitted at once."""
        return tuple(run for run in self.single if run.variant in self.config.trained)

    @cached_property
    def drawn(self) -> tuple[Run, ...]:
        """Those in charts and maps of the rock, each with its first seed: what is learned; or all where nothing is."""
        return tuple(run for run in self.first if run.kind == "learned") or self.first

    @cached_property
    def sampled(self) -> tuple[Run, ...]:
        """Each seed of the variants that draw samples, with its first sample."""
        return tuple(run for run in self.single if self.config.variant(run.variant).rules.samples)

    @cached_property
    def further_samples(self) -> tuple[Run, ...]:
        """The samples after the first, of each seed."""
        draws = range(2, self.config.predict.samples + 1)
        return tuple(replace(run, draw=draw) for run in self.sampled for draw in draws)

    @cached_property
    def uncertain(self) -> tuple[Run, ...]:
        """Those whose predictions have an uncertainty: the ensembles, and each seed of the variants with dropout."""
        dropout = set(self.config.dropout_variants)
        return self.ensembles + tuple(run for run in self.single if run.variant in dropout)

    @cached_property
    def side_tasks(self) -> tuple[Run, ...]:
        """Each seed of each variant that repairs or segments."""
        return tuple(run for variant in self.config.side_tasks for run in self._of(variant))

    @property
    def tasks(self) -> list[str]:
        """The side tasks that there are, by name."""
        return sorted({self._task(run) for run in self.side_tasks})

    def of_task(self, task: str) -> tuple[Run, ...]:
        """The runs of one side task."""
        return tuple(run for run in self.side_tasks if self._task(run) == task)

    def _task(self, run: Run) -> str:
        return self.config.variant(run.variant).rules.task

    def behind(self, folder: str) -> tuple[Run, ...]:
        """The runs of single models behind the predictions in `variant/run`."""
        variant, name = folder.split("/")
        return tuple(run for run in self.single if run.variant == variant and name in ("ensemble", run.name))

    def first_of(self, variant: str) -> Run:
        """The first seed of any variant."""
        return self._of(variant)[0]
