import json
from pathlib import Path

from common import logged

from txm2sem_core.measure.side_tasks import summarise_repair, summarise_segmentation

with logged(snakemake):
    summarise = summarise_repair if snakemake.wildcards.task == "repair" else summarise_segmentation
    summarise(json.loads(snakemake.params.runs), snakemake.input.tables, Path(snakemake.output[0]))
