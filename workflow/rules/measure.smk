# PSNR and SSIM of the test patches, figures of the volumes, and the tables that collect them.


rule measure_patches:
    input:
        patches="<results>/{sample}/predictions/{variant}/seed{seed}/patches.tif",
        store="<results>/{sample}/patches/store.safetensors",
        description="<results>/{sample}/patches/store.json",
        code=core("measure", "metrics"),
    output:
        "<results>/{sample}/metrics/{variant}/seed{seed}/patches.csv",
    log:
        "<logs>/{sample}/measure_patches/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_patches/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings(CONFIG.measure),
        patches=lambda w, input: folder_of(input.description),
    script:
        "../scripts/measure_patches.py"


rule measure_volume:
    input:
        volume="<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr",
        raw=lambda w: raw_files(w.sample) if has_truth(w.sample) else [],
        description="<results>/{sample}/patches/store.json",
        code=core("measure", "metrics"),
    output:
        "<results>/{sample}/metrics/{variant}/seed{seed}/volume.json",
    log:
        "<logs>/{sample}/measure_volume/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_volume/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=settings(CONFIG.measure),
        patches=lambda w, input: folder_of(input.description),
        truth=lambda w: truth_volume(w.sample),
    script:
        "../scripts/measure_volume.py"


rule summarise_metrics:
    input:
        patches=lambda w: [f"{RESULTS}/{w.sample}/metrics/{v}/seed{s}/patches.csv" for v, s in runs()],
        code=core("measure", "metrics"),
    output:
        patches="<results>/{sample}/metrics/patches.csv",
        summary="<results>/{sample}/metrics/summary.csv",
        markdown=report(
            "<results>/{sample}/metrics/table.md",
            category="metrics",
            caption="../report/table.rst",
        ),
        latex="<results>/{sample}/metrics/table.tex",
    log:
        "<logs>/{sample}/summarise_metrics.log",
    benchmark:
        "<benchmarks>/{sample}/summarise_metrics.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        runs=json.dumps(
            [
                [
                    v,
                    s,
                    CONFIG.variant(v).family,
                    CONFIG.variant(v).generator.name,
                    CONFIG.variant(v).factor,
                ]
                for v, s in runs()
            ]
        ),
    script:
        "../scripts/summarise_metrics.py"


rule summarise_volumes:
    input:
        volumes=lambda w: [f"{RESULTS}/{w.sample}/metrics/{v}/seed{s}/volume.json" for v, s in runs()],
        code=core("measure"),
    output:
        "<results>/{sample}/metrics/volumes.csv",
    log:
        "<logs>/{sample}/summarise_volumes.log",
    benchmark:
        "<benchmarks>/{sample}/summarise_volumes.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        runs=json.dumps(runs()),
    script:
        "../scripts/summarise_volumes.py"
