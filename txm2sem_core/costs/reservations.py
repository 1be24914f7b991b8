"""What the jobs of the workflow reserve: memory and time, of a checked configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from txm2sem_core.costs.memory import kind_of, reserved_mb
from txm2sem_core.costs.quantities import Job
from txm2sem_core.costs.sizes import Sizes, sizes_of
from txm2sem_core.costs.work import reserved_minutes
from txm2sem_core.samples.preflight import Checked


class Reservations:
    """Reckons jobs of a run by their wildcards."""

    def __init__(self, checked: Checked) -> None:
        self._checked = checked
        self._sizes: dict[str, Sizes] = {}

    def sizes(self, name: str) -> Sizes:
        """Of a sample, whose files are looked at once, and only if they are asked for."""
        if name not in self._sizes:
            config = self._checked.config
            raw = Path(config.results_dir, name, "raw")
            self._sizes[name] = sizes_of(self._checked.samples[name], config.phantom_of(name), raw)
        return self._sizes[name]

    def _largest(self) -> Sizes:
        return max(map(self.sizes, self._checked.samples), key=lambda sizes: sizes.voxels)

    def job(self, rule: str, wildcards: Mapping[str, str], threads: int) -> Job:
        """A job of a rule by its wildcards; one without a sample reads all."""
        checked, name = self._checked, wildcards.get("sample")
        variant = wildcards.get("variant") or wildcards.get("run", "").split("/")[0]
        config = checked.config if name is None else checked.of_sample[name]
        return Job(
            kind_of(rule),
            self._largest() if name is None else self.sizes(name),
            config,
            samples=len(checked.samples) if name is None else 1,
            variant=config.variant(variant) if variant in config.variants else None,
            models=len(config.seeds) if wildcards.get("run", "").endswith("/ensemble") else 1,
            threads=threads,
        )

    def memory_mb(self, rule: str, wildcards: Mapping[str, str], threads: int) -> int:
        """MB of a job's first attempt."""
        return reserved_mb(self.job(rule, wildcards, threads))

    def minutes(self, rule: str, wildcards: Mapping[str, str], threads: int) -> int:
        """Minutes of a job's first attempt."""
        return reserved_minutes(self.job(rule, wildcards, threads))
