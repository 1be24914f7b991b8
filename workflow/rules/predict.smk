# Predict the test patches and slices, and the whole TXM volume.


rule predict_test:
    input:
        weights="<results>/{sample}/models/{variant}/seed{seed}/generator.safetensors",
        model="<results>/{sample}/models/{variant}/seed{seed}/model.json",
        description=lambda w: f"{patches_folder(w.sample, w.variant)}/store.json",
        code=core("inference", "tiling", "networks", "intensity"),
    output:
        patches="<results>/{sample}/predictions/{variant}/seed{seed}/patches.tif",
        slices=directory("<results>/{sample}/predictions/{variant}/seed{seed}/slices"),
    log:
        "<logs>/{sample}/predict_test/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_test/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=lambda w: 0 if CONFIG.variant(w.variant).family == "baseline" else 1,
        mem_mb=8000,
        runtime=60,
    params:
        settings=settings(CONFIG.predict),
        model=lambda w, input: folder_of(input.model),
        patches=lambda w, input: folder_of(input.description),
        output=lambda w, output: folder_of(output.patches),
    shell:
        "python -m txm2sem_core predict-test --model {params.model:q} --patches {params.patches:q}"
        " --settings {params.settings:q} --name {wildcards.sample}/{wildcards.variant}/seed{wildcards.seed}"
        " --output {params.output:q} --threads {threads} 2>&1 | tee {log:q} >&2"


rule predict_volume:
    input:
        weights="<results>/{sample}/models/{variant}/seed{seed}/generator.safetensors",
        model="<results>/{sample}/models/{variant}/seed{seed}/model.json",
        raw=lambda w: raw_volume(w.sample),
        coarse=lambda w: ([volume_input(w.sample, w.variant)] if CONFIG.variant(w.variant).factor > 1 else []),
        code=core("inference", "tiling", "networks", "intensity"),
    output:
        volume=directory("<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr"),
    log:
        "<logs>/{sample}/predict_volume/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_volume/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=lambda w: 0 if CONFIG.variant(w.variant).family == "baseline" else 1,
        mem_mb=8000,
        runtime=720,
    params:
        settings=settings(CONFIG.predict),
        model=lambda w, input: folder_of(input.model),
        volume=lambda w: volume_input(w.sample, w.variant),
        voxel_size=lambda w: ("" if CONFIG.variant(w.variant).factor > 1 else voxel_size_option(w.sample)),
        raw_digest=lambda w: volume_digest(w.sample),
    shell:
        "python -m txm2sem_core predict --model {params.model:q} --input {params.volume:q} {params.voxel_size}"
        " --settings {params.settings:q} --name {wildcards.sample}/{wildcards.variant}/seed{wildcards.seed}"
        " --output {output.volume:q} --threads {threads} 2>&1 | tee {log:q} >&2"


rule export_volume:
    input:
        volume="<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr",
    output:
        "<results>/{sample}/volumes/{variant}/seed{seed}/sem.tif",
    log:
        "<logs>/{sample}/export_volume/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/export_volume/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    script:
        "../scripts/export_volume.py"
