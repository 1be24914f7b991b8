from pathlib import Path

from common import logged

from txm2sem_core.phases import place_labels
from txm2sem_core.samples.pairs import labels_of_pairs, list_pairs
from txm2sem_core.samples.table import parse_sample

with logged(snakemake):
    registered = Path(snakemake.input.index).parent
    sample = parse_sample(snakemake.params.sample)
    pairs = list_pairs(sample, registered.parent / "raw")
    place_labels(pairs, labels_of_pairs(sample, pairs), registered, Path(snakemake.output.index).parent)
