# The volumes that pass (predict.keep): Snakemake removes each when the last job that reads it is done. Its digest stays,
# by which what was made of it is compared. With it go the reports of its slabs, since a volume that is made again needs
# jobs that predict: the one that closes it asks for no GPU.


use rule predict_slab as predict_passing_slab with:
    output:
        report=temp("<results>/{sample}/volumes/{variant}/seed{seed}/slabs/{slab}of{slabs}.json"),
    wildcard_constraints:
        variant=ONE_PASS,
        seed=PASSING_SEEDS,


use rule predict_volume as predict_passing_volume with:
    output:
        volume=temp(directory("<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr")),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}/sem.digest",
    wildcard_constraints:
        variant=ONE_PASS,
        seed=PASSING_SEEDS,


use rule predict_sample_slab as predict_passing_sample_slab with:
    output:
        report=temp("<results>/{sample}/volumes/{variant}/seed{seed}_sample{draw}/slabs/{slab}of{slabs}.json"),
    wildcard_constraints:
        variant=ONE_PASS,
        draw=PASSING_DRAWS,


use rule predict_sample as predict_passing_sample with:
    output:
        volume=temp(directory("<results>/{sample}/volumes/{variant}/seed{seed}_sample{draw}/sem.ome.zarr")),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}_sample{draw}/sem.digest",
    wildcard_constraints:
        variant=ONE_PASS,
        draw=PASSING_DRAWS,


use rule predict_slab_uncertainty as predict_passing_slab_uncertainty with:
    output:
        report=temp("<results>/{sample}/volumes/{run}/slabs/{slab}of{slabs}.json"),
    wildcard_constraints:
        run=PASSING_RUNS,


use rule predict_volume_uncertainty as predict_passing_volume_uncertainty with:
    output:
        volume=temp(directory("<results>/{sample}/volumes/{run}/sem.ome.zarr")),
        digest="<results>/{sample}/volumes/{run}/sem.digest",
    wildcard_constraints:
        run=PASSING_RUNS,
