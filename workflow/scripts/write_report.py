from pathlib import Path

from common import logged

from txm2sem_core.reporting import parse_samples, report_results

with logged(snakemake):
    samples = parse_samples(snakemake.params.samples)
    report_results(snakemake.params.title, samples, snakemake.params.settings, Path(snakemake.output[0]))
