from pathlib import Path

from common import logged

from txm2sem_core.config import RegisterSettings, parse_settings
from txm2sem_core.geometry import relative_length
from txm2sem_core.registration import Spacing, register_pairs, register_planes
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import parse_sample
from txm2sem_core.samples.volume import open_measured_volume, sample_voxel_size_nm

with logged(snakemake):
    registered = Path(snakemake.output.index).parent
    raw = registered.parent / "raw"
    sample = parse_sample(snakemake.params.sample)
    pairs = list_pairs(sample, raw)
    settings = parse_settings(RegisterSettings, snakemake.params.settings)
    if sample.sought:
        z_nm, _, x_nm = sample_voxel_size_nm(sample, raw)
        volume, stated = open_measured_volume(sample, raw), sample.sem_spacing()
        x_nm *= sample.finer()
        source = f"sample {sample.sample}, column sem_spacing_nm"
        spacing = None if stated is None else Spacing(stated, x_nm, source)
        register_planes(pairs, volume, relative_length(z_nm, x_nm), settings, registered, spacing)
    else:
        register_pairs(pairs, settings, registered, workers=snakemake.threads)
