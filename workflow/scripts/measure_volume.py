from pathlib import Path

from common import logged, path_or_none

from txm2sem_core.config import MeasureSettings, parse_settings
from txm2sem_core.measure.volumes import measure_volume

with logged(snakemake):
    settings = parse_settings(MeasureSettings, snakemake.params.settings)
    truth = snakemake.params.truth or None
    patches, output = Path(snakemake.params.patches), snakemake.output
    labels = path_or_none(snakemake.params.labels)
    threads = snakemake.threads
    measure_volume(snakemake.input.volume, truth, patches, settings, output.figures, output.spectra, labels, threads)
