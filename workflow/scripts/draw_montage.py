import json
from pathlib import Path

from common import logged

from txm2sem_core.config import MeasureSettings, parse_settings
from txm2sem_core.config.figures import CommonStyle, MontageStyle
from txm2sem_core.figures import PredictedPatches, montage_figure

with logged(snakemake):
    variants = json.loads(snakemake.params.variants)
    rows = zip(variants, snakemake.input.predicted, snakemake.params.patches, strict=True)
    montage_figure(
        int(snakemake.wildcards.number) - 1,
        [PredictedPatches(name.replace("_", " "), Path(file), Path(patches)) for name, file, patches in rows],
        parse_settings(MeasureSettings, snakemake.params.measure),
        parse_settings(MontageStyle, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
    )
