from pathlib import Path

from common import logged

from txm2sem_core.config import parse_settings
from txm2sem_core.config.figures import CommonStyle, UncertaintyStyle
from txm2sem_core.figures import uncertainty_figure

with logged(snakemake):
    volume = snakemake.input.get("volume")
    uncertainty_figure(
        Path(snakemake.input.scores).parent,
        Path(snakemake.input.patches).parent,
        Path(snakemake.params.patches),
        (Path(volume[0]), Path(snakemake.params.truth)) if volume else None,
        parse_settings(UncertaintyStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
