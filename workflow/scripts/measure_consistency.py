from pathlib import Path

from common import logged

from txm2sem_core.measure.consistency import measure_consistency

with logged(snakemake):
    params = snakemake.params
    model, output, residual = map(Path, (snakemake.input.model, snakemake.output.metrics, snakemake.output.residual))
    measure_consistency(params.volume, params.txm, Path(params.patches), model, output, residual)
