from pathlib import Path

from common import logged

from txm2sem_core.io import sha256_file, write_json
from txm2sem_core.provenance.records import read_expected
from txm2sem_core.report import parse_samples, report_results

with logged(snakemake):
    samples = parse_samples(snakemake.params.samples)
    report = Path(snakemake.output.report)
    expected = read_expected(snakemake.params.expected)
    report_results(snakemake.params.title, samples, snakemake.params.settings, report, expected)
    pages = snakemake.output.get("pages", [])
    digests = {page: sha256_file(Path(page)) for page in ([pages] if isinstance(pages, str) else pages)}
    write_json(snakemake.output.digest, {"sha256": sha256_file(report)} | ({"pages": digests} if digests else {}))
