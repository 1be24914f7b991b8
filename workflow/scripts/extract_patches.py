from pathlib import Path

from common import logged

from txm2sem_core.config import PatchesSettings, parse_settings
from txm2sem_core.patches.extract import extract_patches
from txm2sem_core.samples.stated_sizes import contradictions
from txm2sem_core.samples.table import parse_sample
from txm2sem_core.samples.volume import open_measured_volume, open_sample_volume, sample_voxel_size_nm

with logged(snakemake):
    registered = Path(snakemake.input.index).parent
    raw = registered.parent / "raw"
    sample = parse_sample(snakemake.params.sample)
    settings = parse_settings(PatchesSettings, snakemake.params.settings)
    voxel_size_nm = sample_voxel_size_nm(sample, raw)
    output = Path(snakemake.output.store).parent
    warnings = [each.text for each in contradictions(sample, raw)]
    volume = (open_measured_volume if sample.sought else open_sample_volume)(sample, raw)
    extract_patches(registered, volume, settings, voxel_size_nm, output, warnings)
