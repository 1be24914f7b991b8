from pathlib import Path

from common import logged

from txm2sem_core.config import parse_settings
from txm2sem_core.config.figures import CommonStyle, ComparisonStyle
from txm2sem_core.figures import comparison_figure

with logged(snakemake):
    comparison_figure(
        Path(snakemake.input.summary),
        Path(snakemake.input.patches),
        parse_settings(ComparisonStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
