from pathlib import Path

from common import logged

from txm2sem_core.config import parse_settings
from txm2sem_core.figure_settings import CommonStyle, RegistrationStyle
from txm2sem_core.figures import registration_figure
from txm2sem_core.samples import list_pairs, parse_sample, plane_pixel_size_nm

with logged(snakemake):
    registered = Path(snakemake.input.quality).parent
    raw = registered.parent / "raw"
    sample = parse_sample(snakemake.params.sample)
    registration_figure(
        list_pairs(sample, raw),
        registered,
        plane_pixel_size_nm(sample, raw),
        parse_settings(RegistrationStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
