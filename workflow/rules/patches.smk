# Split the registered pairs into train, validation and test, and cut patches from them.


rule extract_patches:
    input:
        index=RESULTS + "/{sample}/registered/index.csv",
        raw=lambda w: raw_volume(w.sample),
        code=core("patches", "intensity"),
    output:
        store=RESULTS + "/{sample}/patches/store.safetensors",
        index=RESULTS + "/{sample}/patches/index.csv",
        description=RESULTS + "/{sample}/patches/store.json",
    log:
        RESULTS + "/logs/{sample}/extract_patches.log",
    benchmark:
        RESULTS + "/benchmarks/{sample}/extract_patches.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        settings=settings(CONFIG.patches),
        sample=lambda w: sample_settings(w.sample),
        raw_digest=lambda w: volume_digest(w.sample),
    script:
        "../scripts/extract_patches.py"
