"""A configuration with all that it leads to, checked before anything runs, as the workflow itself does."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from txm2sem_core.config import Config, load_config
from txm2sem_core.config.figures import FigureSettings, load_figure_settings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.io import check_apart, read_json, read_yaml
from txm2sem_core.samples.context import check_context, widest_context
from txm2sem_core.samples.feasibility import check_feasible, check_labels, check_sample
from txm2sem_core.samples.finer_factor import with_factor
from txm2sem_core.samples.own_networks import check_own_networks
from txm2sem_core.samples.pixel_checks import check_pixels
from txm2sem_core.samples.starts import check_starts
from txm2sem_core.samples.stated_scales import check_scales
from txm2sem_core.samples.stated_sizes import check_sizes
from txm2sem_core.samples.table import Sample, read_samples


@dataclass(frozen=True)
class Checked:
    """What a run is made from."""

    config: Config  # of what is common to the samples; its context is the least of theirs
    samples: dict[str, Sample]
    style: FigureSettings
    of_sample: dict[str, Config]  # the same configuration with the context that each sample allows
    warnings: tuple[str, ...] = ()  # what does not stop it, but could mislead

    def with_scans(self) -> list[tuple[Config, int]]:
        """The configurations of the samples with the number of scans of their rock, each once."""
        found = [(own, self.samples[name].scans(own.phantom_of(name))) for name, own in self.of_sample.items()]
        return list({(id(own), scans): (own, scans) for own, scans in found}.values())


def check_run(values: Mapping[str, Any], where: str = "the configuration") -> Checked:
    """Check parsed settings, the table of samples, the figures' style, and the headers of the samples' images.

    Raises:
        ConfigError, InputError: what is wrong, where, and what to do.
    """
    config = load_config(values, where)
    results = Path(config.results_dir)
    samples = {
        name: with_factor(sample, config.phantom_of(name), results / name / "raw")
        for name, sample in read_samples(config.samples).items()
    }
    _check_phantoms(config, samples)
    warnings = _transform_of_sought(config, samples)
    widest = {name: widest_context([one], config.phantom_of(name).pair_every, results) for name, one in samples.items()}
    with_context = {context: load_config(values, where, auto_context=context) for context in set(widest.values())}
    of_sample = {name: with_context[context] for name, context in widest.items()}
    style = load_figure_settings(read_yaml(config.figures), config.figures)
    for name, sample in samples.items():
        check_apart(results / name, sample.raw_paths())
        check_apart(results / name / "labels", [sample.labels])
        check_sample(sample, results / name / "raw")
        check_context(of_sample[name], sample, results / name / "raw")
        check_labels(config, sample, results / name / "raw")
        check_feasible(of_sample[name], sample, results / name / "raw")
        warnings += check_sizes(config, sample, results / name / "raw")
        warnings += check_scales(of_sample[name], sample, results / name / "raw")
        warnings += _other_context(of_sample[name], name, results)
    return Checked(with_context[min(with_context)], samples, style, of_sample, tuple(warnings))


def _transform_of_sought(config: Config, samples: Mapping[str, Sample]) -> list[str]:
    """A warning for each sample whose slices are sought in its volume, where they do not take the transform.

    Raises:
        ConfigError: affine is asked for, and all samples are such.
    """
    sought = [name for name, sample in samples.items() if sample.sought]
    if config.register_.transform == "translation":
        return [
            f"sample {name}: register.transform is translation, but slices that are sought in a TXM volume are turned "
            "and tilted: they are registered as with rigid."
            for name in sought
        ]
    if config.register_.transform != "affine" or not sought:
        return []
    what = "slices that are sought in a TXM volume are turned, tilted and scaled, but not stretched"
    if len(sought) == len(samples):
        raise ConfigError(f"register.transform: affine: {what}. Set it to similarity.")
    return [
        f"sample {name}: register.transform is affine, but {what}: its slices are registered as with similarity."
        for name in sought
    ]


def _check_phantoms(config: Config, samples: Mapping[str, Sample]) -> None:
    phantoms = [name for name, sample in samples.items() if sample.source == "phantom"]
    for name in config.phantoms:
        if name not in phantoms:
            raise ConfigError(
                f"phantoms.{name}: no sample of source phantom has this name in {config.samples}; "
                f"there {'are ' + ', '.join(phantoms) if phantoms else 'is none'}. Name one of them, or leave it out."
            )


def _other_context(config: Config, sample: str, results: Path) -> Iterator[str]:
    """A warning where the patches of a sample have another context than its variants need.

    Said where nobody has set `patches.context`, so that a variant that came or went has changed it for all.
    """
    try:
        had = read_json(results / sample / "patches" / "store.json")["context"]
    except (InputError, KeyError, TypeError):  # there are none yet
        return
    context = config.patches.context
    if had == context or config.context_is_set or not isinstance(had, int):
        return
    if context > had:
        asking = [name for name in config.variants if config.variant(name).context == context]
        if not asking:  # it is one that is left out, and so has made them
            return
        why, remedy = f"as variants.{asking[0]} asks for", f"set variants.{asking[0]}.context to {had}"
    else:
        why, remedy = "as no variant asks for more", f"set patches.context to {had}"
    yield (
        f"sample {sample}: its patches have {had} TXM slices on each side (context) and are cut again with {context}, "
        f"{why}; all its variants are trained again. To keep what there is, {remedy}."
    )


def look_at_pixels(checked: Checked) -> list[str]:
    """Read what of the samples' images `check_pixels` needs; returns all warnings of the run.

    Raises:
        ConfigError, InputError: see `check_pixels`.
    """
    warnings = list(checked.warnings)
    for name, sample in checked.samples.items():
        warnings += check_pixels(checked.of_sample[name], sample, Path(checked.config.results_dir) / name / "raw")
    return warnings


def before_planning(checked: Checked) -> None:
    """What the workflow does once: run the user's own networks, look at models, pixels, and say the warnings.

    Raises:
        ConfigError, InputError: see `check_own_networks`, `check_starts` and `check_pixels`.
    """
    for config, scans in checked.with_scans():
        check_own_networks(config, scans)
        check_starts(config, checked.samples, scans)
    for warning in look_at_pixels(checked):
        print(f"txm2sem: warning: {warning}", file=sys.stderr)


def check_file(path: Path) -> str:
    """Check a YAML file by `check_run`, and say in one line what it asks for.

    Snakemake reads its configuration before we do, and runs the Python in a file that begins with `__use_yte__: true`.
    Here nothing in it is run.

    Raises:
        ConfigError, InputError: see `check_run`.
    """
    values = read_yaml(path)
    if isinstance(values, Mapping) and "__use_yte__" in values:
        raise ConfigError(
            f"{path}: __use_yte__: snakemake would run the Python that stands in this file. Do not give it to "
            "snakemake unless you wrote it, and write its values out."
        )
    try:
        checked = check_run(values, str(path))
        for of_sample, scans in checked.with_scans():
            check_starts(of_sample, checked.samples, scans)
        warnings = look_at_pixels(checked)
    except OSError as error:  # a name that is too long, say
        raise InputError(f"{error.filename or path}: this cannot be read ({error.strerror}).") from error
    config = checked.config
    trained = len(config.trained) + len(config.side_tasks)
    warned = "".join(f" Warning: {warning}" for warning in warnings)
    return (
        f"in order. {len(checked.samples)} samples, {len(config.variants)} variants of which {trained} are trained, "
        f"{len(config.seeds)} seeds; results go to {config.results_dir}." + warned
    )
