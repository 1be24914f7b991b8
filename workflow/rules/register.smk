# Register each FIB-SEM slice to its TXM slice, or find its plane in the volume, crop to what both cover, and refuse pairs that could not be registered.


rule register_pairs:
    input:
        raw=lambda w: raw_files(w.sample) + sought_volume(w.sample),
    output:
        pairs=directory("<results>/{sample}/registered/pairs"),
        transforms="<results>/{sample}/registered/transforms.json",
        quality=report(
            "<results>/{sample}/registered/quality.csv",
            category="registration",
            caption="../report/quality.rst",
        ),
        index="<results>/{sample}/registered/index.csv",
    log:
        "<logs>/{sample}/register_pairs.log",
    benchmark:
        "<benchmarks>/{sample}/register_pairs.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 8
    resources:
        mem_mb=memory_of("register_pairs"),
        runtime=minutes_of("register_pairs"),
    params:
        **run_script(
            "register_pairs",
            settings=settings(CONFIG.register_),
            sample=lambda w: FILES[w.sample].row(),
            raw_digest=lambda w: pairs_digest(w.sample) + sought_digest(w.sample),
        ),
    shell:
        RUN_SCRIPT
