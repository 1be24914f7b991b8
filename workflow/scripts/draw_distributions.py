import json
from pathlib import Path

from common import logged

from txm2sem_core.config import parse_settings
from txm2sem_core.config.figures import ChartStyle, CommonStyle
from txm2sem_core.figures import distributions_figure

with logged(snakemake):
    distributions_figure(
        Path(snakemake.input.distributions),
        json.loads(snakemake.params.variants),
        parse_settings(ChartStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
