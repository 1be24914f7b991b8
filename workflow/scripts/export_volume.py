from common import logged

from txm2sem_core.io import open_volume, write_volume_tiff

with logged(snakemake):
    volume = open_volume(snakemake.input.volume, snakemake.params.channel)
    write_volume_tiff(snakemake.output[0], volume.slices(), volume.voxel_size_nm, volume.shape[0])
