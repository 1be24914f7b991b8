import json
from pathlib import Path

from common import logged

from txm2sem_core.measure.summary import Run, summarise_metrics

with logged(snakemake):
    runs = [Run(*run) for run in json.loads(snakemake.params.runs)]
    found = snakemake.input
    summarise_metrics(runs, found.patches, found.spectra, found.resolutions, Path(snakemake.output.summary).parent)
