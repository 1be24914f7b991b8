from pathlib import Path

from common import logged

from txm2sem_core.config import MeasureSettings, parse_settings
from txm2sem_core.measure.patches import measure_patches

with logged(snakemake):
    settings = parse_settings(MeasureSettings, snakemake.params.settings)
    patches, output = Path(snakemake.params.patches), snakemake.output
    measure_patches(snakemake.input.patches, patches, settings, output.scores, output.spectra, output.resolution)
