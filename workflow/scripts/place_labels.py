from pathlib import Path

from common import logged

from txm2sem_core.samples import labels_of_pairs, list_pairs, parse_sample
from txm2sem_core.segmentation import place_labels

with logged(snakemake):
    registered = Path(snakemake.input.index).parent
    sample = parse_sample(snakemake.params.sample)
    pairs = list_pairs(sample, registered.parent / "raw")
    place_labels(pairs, labels_of_pairs(sample, pairs), registered, Path(snakemake.output.index).parent)
