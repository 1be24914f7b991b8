# What a figure is drawn from, as the catalogue of figures says, as inputs and params of its rule.
from txm2sem_core.catalogue.figures import FIGURES, caption_of

GIVEN = {"pairs": raw_files, "volume": raw_volume, "truth": truth_files, "labels": labels_index}


def drawn_from(figure):
    """What a figure is drawn from, as inputs: beside what is large, the digest by which it is compared."""

    def inputs(wildcards):
        found = figure.sources(FILES[wildcards.sample], dict(wildcards.items()))
        images = [file for files in found.images.values() for file in listed(files)]
        return {
            **found.tables,
            **{name: of_each(files, ancient) for name, files in (found.images | found.beside).items()},
            "digests": [digest_of(image) for image in images],
            "store": of_each(found.store, lambda folder: f"{folder}/store.json"),
            "kept": [file for folder in listed(found.store) for file in kept_in(folder)],
            "raw": [file for kind in figure.raw for file in GIVEN[kind](wildcards.sample)],
        }

    return inputs


def listed(files):
    """One file or several, as a list."""
    return [files] if isinstance(files, str) else list(files)


def of_each(files, change):
    """One file, or each of several, changed."""
    return change(files) if isinstance(files, str) else [change(file) for file in files]


def figure_param(own):
    """A param of a figure's rule."""
    return lambda wildcards: own(FILES[wildcards.sample], dict(wildcards.items()))


def figure_params(figure):
    """All params of a figure's rule by which it is compared."""
    own = {name: figure_param(value) for name, value in figure.params.items()}
    if "pairs" in figure.raw:
        own["raw_digest"] = lambda wildcards: pairs_digest(wildcards.sample)
    return {"style": settings(getattr(STYLE, figure.style)), "common": settings(STYLE.common), **own}


def figure_caption(figure):
    """What snakemake's own report says of a figure; no part of what is compared, since it is made of the output."""
    return lambda wildcards, output: caption_of(figure.file.format(**dict(wildcards.items()))).text
