from pathlib import Path

from common import logged

from txm2sem_core.config import DownsampleSettings, parse_settings
from txm2sem_core.io import write_json
from txm2sem_core.patches.downsample import downsample_volume
from txm2sem_core.provenance import raw_digest
from txm2sem_core.samples.table import parse_sample
from txm2sem_core.samples.volume import open_sample_volume

with logged(snakemake):
    patches = Path(snakemake.input.description).parent
    volume = open_sample_volume(parse_sample(snakemake.params.sample), patches.parent / "raw")
    settings = parse_settings(DownsampleSettings, snakemake.params.settings)
    output = Path(snakemake.output.volume)
    downsample_volume(volume, int(snakemake.wildcards.factor), settings, patches, output)
    write_json(snakemake.output.digest, {"sha256": raw_digest([output])})
