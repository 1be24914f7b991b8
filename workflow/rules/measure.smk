# PSNR and SSIM of the test patches, figures of the volumes, and the tables that collect them.


rule measure_patches:
    input:
        patches=RESULTS + "/{sample}/predictions/{variant}/seed{seed}/patches.tif",
        store=RESULTS + "/{sample}/patches/store.safetensors",
        description=RESULTS + "/{sample}/patches/store.json",
        code=core("measure", "metrics"),
    output:
        RESULTS + "/{sample}/metrics/{variant}/seed{seed}/patches.csv",
    log:
        RESULTS + "/logs/{sample}/measure_patches/{variant}_seed{seed}.log",
    benchmark:
        RESULTS + "/benchmarks/{sample}/measure_patches/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        settings=settings(CONFIG.measure),
        patches=RESULTS + "/{sample}/patches",
    script:
        "../scripts/measure_patches.py"


rule measure_volume:
    input:
        volume=RESULTS + "/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr",
        raw=lambda w: raw_files(w.sample) if has_truth(w.sample) else [],
        description=RESULTS + "/{sample}/patches/store.json",
        code=core("measure", "metrics"),
    output:
        RESULTS + "/{sample}/metrics/{variant}/seed{seed}/volume.json",
    log:
        RESULTS + "/logs/{sample}/measure_volume/{variant}_seed{seed}.log",
    benchmark:
        RESULTS + "/benchmarks/{sample}/measure_volume/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        settings=settings(CONFIG.measure),
        patches=RESULTS + "/{sample}/patches",
        truth=lambda w: truth_volume(w.sample),
    script:
        "../scripts/measure_volume.py"


rule summarise_metrics:
    input:
        patches=lambda w: [
            f"{RESULTS}/{w.sample}/metrics/{v}/seed{s}/patches.csv" for v, s in runs()
        ],
        code=core("measure", "metrics"),
    output:
        patches=RESULTS + "/{sample}/metrics/patches.csv",
        summary=RESULTS + "/{sample}/metrics/summary.csv",
        markdown=report(
            RESULTS + "/{sample}/metrics/table.md",
            category="metrics",
            caption="../report/table.rst",
        ),
        latex=RESULTS + "/{sample}/metrics/table.tex",
    log:
        RESULTS + "/logs/{sample}/summarise_metrics.log",
    benchmark:
        RESULTS + "/benchmarks/{sample}/summarise_metrics.tsv"
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
        volumes=lambda w: [
            f"{RESULTS}/{w.sample}/metrics/{v}/seed{s}/volume.json" for v, s in runs()
        ],
        code=core("measure"),
    output:
        RESULTS + "/{sample}/metrics/volumes.csv",
    log:
        RESULTS + "/logs/{sample}/summarise_volumes.log",
    benchmark:
        RESULTS + "/benchmarks/{sample}/summarise_volumes.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        runs=json.dumps(runs()),
    script:
        "../scripts/summarise_volumes.py"
