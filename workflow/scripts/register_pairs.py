from pathlib import Path

from common import logged

from txm2sem_core.config import RegisterSettings, parse_settings
from txm2sem_core.registration import register_pairs
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import parse_sample

with logged(snakemake):
    registered = Path(snakemake.output.index).parent
    sample = parse_sample(snakemake.params.sample)
    pairs = list_pairs(sample, registered.parent / "raw")
    settings = parse_settings(RegisterSettings, snakemake.params.settings)
    register_pairs(pairs, settings, registered, workers=snakemake.threads)
