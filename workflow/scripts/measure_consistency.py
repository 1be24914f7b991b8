from pathlib import Path

from common import logged

from txm2sem_core.measure.consistency import measure_consistency

with logged(snakemake):
    params = snakemake.params
    model, output = Path(snakemake.input.model), Path(snakemake.output[0])
    measure_consistency(params.volume, params.txm, Path(params.patches), model, output)
