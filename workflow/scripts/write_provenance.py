import json
from pathlib import Path

from common import logged

from txm2sem_core.provenance.crate import write_provenance
from txm2sem_core.provenance.record import Run
from txm2sem_core.samples.table import Sample

with logged(snakemake):
    given = snakemake.input
    run = Run(
        title=snakemake.params.title,
        settings=snakemake.params.settings,
        samples=[Sample.model_validate(row) for row in json.loads(snakemake.params.samples)],
        results=Path(snakemake.output.record).parent,
        models=[Path(file) for file in given.models],
        volumes=[Path(file) for file in snakemake.params.volumes],
        passing=[Path(file) for file in snakemake.params.passing],
        tables=[Path(file) for file in given.tables],
        report=Path(given.report),
        pages=[Path(file) for file in given.get("pages", [])],
    )
    write_provenance(run, Path(__file__).resolve().parents[2])
