from pathlib import Path

from common import logged

from txm2sem_core.config import parse_settings
from txm2sem_core.figure_settings import CommonStyle, SectionsStyle
from txm2sem_core.figures import sections_figure
from txm2sem_core.io import read_json

with logged(snakemake):
    sections_figure(
        snakemake.wildcards.variant.replace("_", " "),
        Path(snakemake.params.txm),
        Path(snakemake.input.predicted),
        Path(snakemake.params.truth) if snakemake.params.truth else None,
        tuple(read_json(snakemake.input.description)["voxel_size_nm"]),
        parse_settings(SectionsStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
