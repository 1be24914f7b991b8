from pathlib import Path

from common import logged, path_or_none

from txm2sem_core.config import MeasureSettings, parse_settings
from txm2sem_core.measure.rock import measure_rock

with logged(snakemake):
    settings = parse_settings(MeasureSettings, snakemake.params.settings)
    output = Path(snakemake.output.figures)
    measure_rock(
        snakemake.params.volume,
        Path(snakemake.params.patches),
        settings,
        output,
        path_or_none(snakemake.params.labels),
        snakemake.threads,
    )
