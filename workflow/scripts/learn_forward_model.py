from pathlib import Path

from common import logged

from txm2sem_core.measure.consistency import learn_forward_model

with logged(snakemake):
    learn_forward_model(Path(snakemake.params.patches), Path(snakemake.output[0]))
