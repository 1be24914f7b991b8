# Split the registered pairs into train, validation and test, and cut patches from them.


rule extract_patches:
    input:
        index="<results>/{sample}/registered/index.csv",
        quality="<results>/{sample}/registered/quality.csv",
        pairs=ancient("<results>/{sample}/registered/pairs"),
        raw=lambda w: raw_volume(w.sample),
    output:
        store="<results>/{sample}/patches/store.safetensors",
        index="<results>/{sample}/patches/index.csv",
        description="<results>/{sample}/patches/store.json",
    log:
        "<logs>/{sample}/extract_patches.log",
    benchmark:
        "<benchmarks>/{sample}/extract_patches.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("extract_patches"),
        runtime=minutes_of("extract_patches"),
    params:
        **run_script(
            "extract_patches",
            settings=lambda w: settings(CONFIGS[w.sample].patches),
            sample=lambda w: FILES[w.sample].row(),
            raw_digest=lambda w: volume_digest(w.sample),
        ),
    shell:
        RUN_SCRIPT
