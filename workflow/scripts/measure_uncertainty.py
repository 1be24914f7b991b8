from pathlib import Path

from common import logged

from txm2sem_core.measure.uncertainty import measure_uncertainty

with logged(snakemake):
    volume = snakemake.input.get("volume")
    measure_uncertainty(
        Path(snakemake.input.patches).parent,
        Path(snakemake.params.patches),
        Path(volume[0]) if volume else None,
        Path(snakemake.params.truth) if snakemake.params.truth else None,
        Path(snakemake.output.scores),
        Path(snakemake.output.reliability),
    )
