# A synthetic shale with known truth, for samples with `source: phantom`.


rule make_phantom:
    input:
        code=core("phantom", "splits"),
    output:
        manifest="<results>/{sample}/raw/phantom.json",
        pairs="<results>/{sample}/raw/pairs.csv",
        txm=directory("<results>/{sample}/raw/txm"),
        sem=directory("<results>/{sample}/raw/sem"),
        charge=directory("<results>/{sample}/raw/charge"),
        lowdensity=directory("<results>/{sample}/raw/lowdensity"),
        highdensity=directory("<results>/{sample}/raw/highdensity"),
        volume=directory("<results>/{sample}/raw/txm_volume"),
        truth=directory("<results>/{sample}/raw/truth"),
    log:
        "<logs>/{sample}/make_phantom.log",
    benchmark:
        "<benchmarks>/{sample}/make_phantom.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(8000),
        runtime=grows(60),
    params:
        settings=settings(CONFIG.phantom),
    script:
        "../scripts/make_phantom.py"
