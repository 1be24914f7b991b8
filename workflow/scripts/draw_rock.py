import json
from pathlib import Path

from common import logged, path_or_none

from txm2sem_core.config import MeasureSettings, parse_settings
from txm2sem_core.config.figures import CommonStyle, PhasesStyle, PoreSpaceStyle
from txm2sem_core.figures import ShownVolume, phases_figure, pore_space_figure

FIGURES = {"phases": (phases_figure, PhasesStyle), "pore_space": (pore_space_figure, PoreSpaceStyle)}

with logged(snakemake):
    draw, style = FIGURES[snakemake.params.figure]
    labels = [variant.replace("_", " ") for variant in json.loads(snakemake.params.labels)]
    files = map(Path, snakemake.input.volumes)
    truth = [ShownVolume("Truth", Path(snakemake.params.truth), truth=True)] if snakemake.params.truth else []
    draw(
        [*truth, *(ShownVolume(label, file) for label, file in zip(labels, files, strict=True))],
        Path(snakemake.params.patches),
        parse_settings(MeasureSettings, snakemake.params.measure),
        parse_settings(style, snakemake.params.style),
        parse_settings(CommonStyle, snakemake.params.common),
        map(Path, snakemake.output),
        path_or_none(snakemake.params.phase_labels),
    )
