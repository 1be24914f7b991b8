from pathlib import Path

from common import logged

from txm2sem_core.io import UNMEASURED, open_volume, read_marks, write_volume_tiffs

with logged(snakemake):
    source = Path(snakemake.input.volume)
    volume = open_volume(source, snakemake.params.channel)
    marks = read_marks(source)
    # where nothing was measured the TIFF has the volume's value, and says so too
    stated = ("result_sha256", UNMEASURED, "measured_share") if volume.stated and UNMEASURED in marks else ()
    write_volume_tiffs(
        [snakemake.output[0]],
        (plane[None] for plane in volume.slices()),
        volume.voxel_size_nm,
        volume.shape[0],
        marks={key: marks[key] for key in stated},
    )
