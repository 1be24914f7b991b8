from pathlib import Path

from common import logged

from txm2sem_core.config import DownsampleSettings, parse_settings
from txm2sem_core.patches.downsample import downsample_patches

with logged(snakemake):
    settings = parse_settings(DownsampleSettings, snakemake.params.settings)
    patches, output = (Path(file).parent for file in (snakemake.input.store, snakemake.output.store))
    downsample_patches(patches, int(snakemake.wildcards.factor), settings, output)
