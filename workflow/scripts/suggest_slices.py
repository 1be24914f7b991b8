from pathlib import Path

from common import logged, path_or_none

from txm2sem_core.measure.suggestions import suggest_by_txm

with logged(snakemake):
    params = snakemake.params
    scores, output = Path(snakemake.input.scores), Path(snakemake.output[0])
    suggest_by_txm(Path(params.patches), scores, params.txm, path_or_none(params.txm_measured), output)
