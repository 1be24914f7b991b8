from pathlib import Path

from common import logged

from txm2sem_core.config import MeasureSettings, parse_settings
from txm2sem_core.measure.side_tasks import measure_repair, measure_segmentation

with logged(snakemake):
    predictions, patches = Path(snakemake.input.patches).parent, Path(snakemake.params.patches)
    if snakemake.wildcards.task == "repair":
        chosen = parse_settings(MeasureSettings, snakemake.params.settings)
        measure_repair(predictions, patches, chosen, Path(snakemake.output[0]))
    else:
        measure_segmentation(predictions, patches, Path(snakemake.output[0]))
