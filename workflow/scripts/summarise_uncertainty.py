import json

from common import logged

from txm2sem_core.measure.uncertainty import summarise_uncertainty

with logged(snakemake):
    summarise_uncertainty(json.loads(snakemake.params.runs), snakemake.input.scores, snakemake.output[0])
