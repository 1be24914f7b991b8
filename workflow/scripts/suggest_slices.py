from pathlib import Path

from common import logged

from txm2sem_core.measure.suggestions import suggest_by_txm

with logged(snakemake):
    params = snakemake.params
    suggest_by_txm(Path(params.patches), Path(snakemake.input.scores), params.txm, Path(snakemake.output[0]))
