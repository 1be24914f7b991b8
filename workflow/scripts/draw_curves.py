import json
from pathlib import Path

from common import logged

from txm2sem_core.config import parse_settings
from txm2sem_core.config.figures import CommonStyle, CurvesStyle
from txm2sem_core.figures import curves_figure

with logged(snakemake):
    runs = json.loads(snakemake.params.runs)
    files = zip(runs, snakemake.input.histories, strict=True)
    curves_figure(
        [(variant.replace("_", " "), seed, Path(file)) for (variant, seed), file in files],
        parse_settings(CurvesStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
