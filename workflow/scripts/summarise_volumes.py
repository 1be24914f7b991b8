import json

from common import logged

from txm2sem_core.measure import summarise_volumes

with logged(snakemake):
    summarise_volumes(json.loads(snakemake.params.runs), snakemake.input.volumes, snakemake.output[0])
