import json
from pathlib import Path

from common import logged

from txm2sem_core.config import Run
from txm2sem_core.measure.summary import summarise_metrics

with logged(snakemake):
    runs = [Run.of_row(row) for row in json.loads(snakemake.params.runs)]
    found = snakemake.input
    summarise_metrics(runs, found.patches, found.spectra, found.resolutions, Path(snakemake.output.summary).parent)
