from pathlib import Path

from common import logged, path_or_none

from txm2sem_core.config import parse_settings
from txm2sem_core.config.figures import CommonStyle, SectionsStyle
from txm2sem_core.figures import sections_figure
from txm2sem_core.io import open_volume, read_json, with_mask

with logged(snakemake):
    sections_figure(
        snakemake.wildcards.variant.replace("_", " "),
        with_mask(open_volume(snakemake.params.txm), path_or_none(snakemake.params.txm_measured)),
        Path(snakemake.input.predicted),
        Path(snakemake.params.truth) if snakemake.params.truth else None,
        tuple(read_json(snakemake.input.description)["voxel_size_nm"]),
        parse_settings(SectionsStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
