from pathlib import Path

from common import logged

from txm2sem_core.config import PhantomSettings, parse_settings
from txm2sem_core.phantom import make_phantom

with logged(snakemake):
    settings = parse_settings(PhantomSettings, snakemake.params.settings)
    make_phantom(settings, Path(snakemake.output.manifest).parent)
