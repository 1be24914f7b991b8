import json
from pathlib import Path

from common import logged

from txm2sem_core.measure.rock import summarise_rock

with logged(snakemake):
    summarise_rock(json.loads(snakemake.params.runs), snakemake.input.figures, Path(snakemake.output.figures).parent)
