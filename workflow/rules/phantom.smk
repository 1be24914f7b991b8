# A synthetic shale with known truth, for samples with `source: phantom`.


rule make_phantom:
    input:
        code=core("phantom"),
    output:
        manifest=RESULTS + "/{sample}/raw/phantom.json",
        pairs=RESULTS + "/{sample}/raw/pairs.csv",
        txm=directory(RESULTS + "/{sample}/raw/txm"),
        sem=directory(RESULTS + "/{sample}/raw/sem"),
        charge=directory(RESULTS + "/{sample}/raw/charge"),
        volume=directory(RESULTS + "/{sample}/raw/txm_volume"),
        truth=directory(RESULTS + "/{sample}/raw/truth"),
    log:
        RESULTS + "/logs/{sample}/make_phantom.log",
    benchmark:
        RESULTS + "/benchmarks/{sample}/make_phantom.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=settings(CONFIG.phantom),
    script:
        "../scripts/make_phantom.py"
