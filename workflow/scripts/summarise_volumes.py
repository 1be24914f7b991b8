import json

from common import logged

from txm2sem_core.measure.volumes import summarise_volumes

with logged(snakemake):
    found, output = snakemake.input, snakemake.output
    summarise_volumes(json.loads(snakemake.params.runs), found.volumes, found.spectra, output.figures, output.spectra)
