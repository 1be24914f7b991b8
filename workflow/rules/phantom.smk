# A synthetic shale with known truth, for samples with `source: phantom`.


rule make_phantom:
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
        mem_mb=memory_of("make_phantom"),
        runtime=minutes_of("make_phantom"),
    params:
        **run_script(
            "make_phantom",
            settings=lambda w: settings(CONFIG.phantom_of(w.sample)),
        ),
    shell:
        RUN_SCRIPT
