# Split the registered pairs into train, validation and test, and cut patches from them.


rule extract_patches:
    input:
        index="<results>/{sample}/registered/index.csv",
        quality="<results>/{sample}/registered/quality.csv",
        raw=lambda w: raw_volume(w.sample),
        code=core("patches", "splits", "doubts", "intensity"),
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
        mem_mb=grows(8000),
        runtime=grows(60),
    params:
        settings=settings(CONFIG.patches),
        sample=lambda w: sample_settings(w.sample),
        raw_digest=lambda w: volume_digest(w.sample),
    script:
        "../scripts/extract_patches.py"
