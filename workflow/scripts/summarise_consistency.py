import json
from pathlib import Path

from common import logged

from txm2sem_core.measure.consistency import summarise_consistency

with logged(snakemake):
    found, runs = snakemake.input, json.loads(snakemake.params.runs)
    of_truth = [("truth", "")] * len(found.truth)
    summarise_consistency([*of_truth, *runs], [*found.truth, *found.consistency], Path(snakemake.output[0]))
