from pathlib import Path

from common import logged

from txm2sem_core.config import parse_settings
from txm2sem_core.config.figures import CommonStyle, MontageStyle
from txm2sem_core.figures import repair_figure, segmentation_figure

with logged(snakemake):
    draw = repair_figure if snakemake.wildcards.task == "repair" else segmentation_figure
    draw(
        Path(snakemake.input.patches).parent,
        Path(snakemake.params.patches),
        parse_settings(MontageStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
