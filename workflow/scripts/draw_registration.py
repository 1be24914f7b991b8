from pathlib import Path

from common import logged

from txm2sem_core.config import parse_settings
from txm2sem_core.config.figures import CommonStyle, RegistrationStyle
from txm2sem_core.figures import registration_figure
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import parse_sample
from txm2sem_core.samples.volume import plane_pixel_size_nm

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
