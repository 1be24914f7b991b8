# Predict the test patches and slices, and the whole TXM volume. What is large (weights, images, volumes) is `ancient` as
# an input, with a small file beside it that Snakemake compares by content: results that were copied without their times
# stay valid.


rule predict_test:
    input:
        weights=ancient("<results>/{sample}/models/{variant}/seed{seed}/generator.safetensors"),
        model="<results>/{sample}/models/{variant}/seed{seed}/model.json",
        description=lambda w: f"{FILES[w.sample].store_of(w.variant)}/store.json",
        kept=lambda w: kept_in(FILES[w.sample].store_of(w.variant)),
    output:
        patches="<results>/{sample}/predictions/{variant}/seed{seed}/patches.tif",
        digest="<results>/{sample}/predictions/{variant}/seed{seed}/patches.digest",
        slices=directory("<results>/{sample}/predictions/{variant}/seed{seed}/slices"),
    log:
        "<logs>/{sample}/predict_test/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_test/{variant}_seed{seed}.tsv"
    wildcard_constraints:
        variant="|".join(v for v in CONFIG.variants if v not in CONFIG.dropout_variants) or NOTHING,
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory_of("predict_test"),
        runtime=minutes_of("predict_test"),
    params:
        code=lambda w: command_code("predict-test"),
        settings=predict_settings,
        model=lambda w, input: folder_of(input.model),
        patches=lambda w, input: folder_of(input.description),
        output=lambda w, output: folder_of(output.patches),
    shell:
        "python -m txm2sem_core predict-test --model {params.model:q} --patches {params.patches:q}"
        " --settings {params.settings:q} --name {wildcards.sample}/{wildcards.variant}/seed{wildcards.seed}"
        " --overwrite --output {params.output:q} --digest {output.digest:q} --threads {threads} 2>&1 | tee {log:q} >&2"
        f"{KEEP_RECORD}"


# One of several jobs of a volume (predict.jobs): its units lie beside the volume's place until all are there.
rule predict_slab:
    input:
        weights=ancient("<results>/{sample}/models/{variant}/seed{seed}/generator.safetensors"),
        model="<results>/{sample}/models/{variant}/seed{seed}/model.json",
        raw=lambda w: raw_volume(w.sample),
        coarse=lambda w: coarse_volume(w.sample, w.variant),
    output:
        report="<results>/{sample}/volumes/{variant}/seed{seed}/slabs/{slab}of{slabs}.json",
    log:
        "<logs>/{sample}/predict_slab/{variant}_seed{seed}_{slab}of{slabs}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_slab/{variant}_seed{seed}_{slab}of{slabs}.tsv"
    wildcard_constraints:
        variant=ONE_PASS,
        seed=STAYING_SEEDS,
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory_of("predict_slab"),
        runtime=minutes_of("predict_slab"),
    params:
        code=lambda w: command_code("predict"),
        settings=volume_settings,
        model=lambda w, input: folder_of(input.model),
        volume=lambda w: FILES[w.sample].input_volume(w.variant),
        of_volume=lambda w: FILES[w.sample].volume_options(w.variant),
        raw_digest=lambda w: volume_digest(w.sample),
        draw=draw_option,
        target=lambda w, output: f"{Path(output.report).parents[1]}/sem.ome.zarr",
        name=lambda w: f"{w.sample}/{run_of(w)}",
    shell:
        "python -m txm2sem_core predict --model {params.model:q} --input {params.volume:q} {params.of_volume}"
        " --name {params.name}/{wildcards.slab}of{wildcards.slabs} {params.draw}"
        " --settings {params.settings:q}"
        " --overwrite --output {params.target:q} --slab {wildcards.slab}/{wildcards.slabs} --slab-report {output.report:q}"
        " --threads {threads} 2>&1 | tee {log:q} >&2"
        f"{KEEP_RECORD}"


# Makes the units that no slab made (all of them with predict.jobs = 1), and finishes the volume.
rule predict_volume:
    input:
        weights=ancient("<results>/{sample}/models/{variant}/seed{seed}/generator.safetensors"),
        model="<results>/{sample}/models/{variant}/seed{seed}/model.json",
        raw=lambda w: raw_volume(w.sample),
        coarse=lambda w: coarse_volume(w.sample, w.variant),
        slabs=lambda w: slabs_of(f"{RESULTS}/{w.sample}/volumes/{run_of(w)}"),
    output:
        volume=directory("<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}/sem.digest",
    log:
        "<logs>/{sample}/predict_volume/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_volume/{variant}_seed{seed}.tsv"
    wildcard_constraints:
        variant=ONE_PASS,
        seed=STAYING_SEEDS,
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=volume_gpu(),
        mem_mb=memory_of("predict_volume"),
        runtime=minutes_of("predict_volume"),
    params:
        code=lambda w: command_code("predict"),
        settings=volume_settings,
        model=lambda w, input: folder_of(input.model),
        volume=lambda w: FILES[w.sample].input_volume(w.variant),
        of_volume=lambda w: FILES[w.sample].volume_options(w.variant),
        raw_digest=lambda w: volume_digest(w.sample),
        draw=draw_option,
        name=lambda w: f"{w.sample}/{run_of(w)}",
    shell:
        "python -m txm2sem_core predict --model {params.model:q} --input {params.volume:q} {params.of_volume}"
        " --settings {params.settings:q} --name {params.name} {params.draw}"
        " --overwrite --output {output.volume:q} --digest {output.digest:q} --threads {threads} 2>&1 | tee {log:q} >&2"
        f"{KEEP_RECORD}"


# Samples after the first, of variants that draw them.
use rule predict_slab as predict_sample_slab with:
    output:
        report="<results>/{sample}/volumes/{variant}/seed{seed}_sample{draw}/slabs/{slab}of{slabs}.json",
    log:
        "<logs>/{sample}/predict_slab/{variant}_seed{seed}_sample{draw}_{slab}of{slabs}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_slab/{variant}_seed{seed}_sample{draw}_{slab}of{slabs}.tsv"
    wildcard_constraints:
        variant=ONE_PASS,
        draw=STAYING_DRAWS,


use rule predict_volume as predict_sample with:
    output:
        volume=directory("<results>/{sample}/volumes/{variant}/seed{seed}_sample{draw}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}_sample{draw}/sem.digest",
    log:
        "<logs>/{sample}/predict_volume/{variant}_seed{seed}_sample{draw}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_volume/{variant}_seed{seed}_sample{draw}.tsv"
    wildcard_constraints:
        variant=ONE_PASS,
        draw=STAYING_DRAWS,


# Several models, or several passes of one: `run` is variant/ensemble or variant/seedN.
rule predict_test_uncertainty:
    input:
        weights=lambda w: [
            ancient(file) for file in FILES[w.sample].models(RUNS.behind(w.run), "generator.safetensors")
        ],
        models=lambda w: FILES[w.sample].models(RUNS.behind(w.run), "model.json"),
        description=lambda w: f"{FILES[w.sample].store_of(w.run.split('/')[0])}/store.json",
        kept=lambda w: kept_in(FILES[w.sample].store_of(w.run.split("/")[0])),
    output:
        patches="<results>/{sample}/predictions/{run}/patches.tif",
        digest="<results>/{sample}/predictions/{run}/patches.digest",
        spread="<results>/{sample}/predictions/{run}/spread.tif",
        calibration="<results>/{sample}/predictions/{run}/calibration.json",
        slices=directory("<results>/{sample}/predictions/{run}/slices"),
    log:
        "<logs>/{sample}/predict_test_uncertainty/{run}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_test_uncertainty/{run}.tsv"
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory_of("predict_test_uncertainty"),
        runtime=minutes_of("predict_test_uncertainty"),
    params:
        code=lambda w: command_code("predict-test"),
        settings=predict_settings,
        models=lambda w, input: model_options(input.models),
        dropout=lambda w: dropout_options(w.run),
        patches=lambda w, input: folder_of(input.description),
        output=lambda w, output: folder_of(output.patches),
    shell:
        "python -m txm2sem_core predict-test {params.models} {params.dropout} --patches {params.patches:q}"
        " --settings {params.settings:q} --name {wildcards.sample}/{wildcards.run}"
        " --overwrite --output {params.output:q} --digest {output.digest:q} --threads {threads} 2>&1 | tee {log:q} >&2"
        f"{KEEP_RECORD}"


rule predict_slab_uncertainty:
    input:
        weights=lambda w: [
            ancient(file) for file in FILES[w.sample].models(RUNS.behind(w.run), "generator.safetensors")
        ],
        models=lambda w: FILES[w.sample].models(RUNS.behind(w.run), "model.json"),
        calibration="<results>/{sample}/predictions/{run}/calibration.json",
        raw=lambda w: raw_volume(w.sample),
        coarse=lambda w: coarse_volume(w.sample, w.run.split("/")[0]),
    output:
        report="<results>/{sample}/volumes/{run}/slabs/{slab}of{slabs}.json",
    log:
        "<logs>/{sample}/predict_slab_uncertainty/{run}_{slab}of{slabs}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_slab_uncertainty/{run}_{slab}of{slabs}.tsv"
    wildcard_constraints:
        run=STAYING_RUNS,
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=memory_of("predict_slab_uncertainty"),
        runtime=minutes_of("predict_slab_uncertainty"),
    params:
        code=lambda w: command_code("predict"),
        settings=volume_settings,
        models=lambda w, input: model_options(input.models),
        dropout=lambda w: dropout_options(w.run),
        volume=lambda w: FILES[w.sample].input_volume(w.run.split("/")[0]),
        of_volume=lambda w: FILES[w.sample].volume_options(w.run.split("/")[0]),
        raw_digest=lambda w: volume_digest(w.sample),
        target=lambda w, output: f"{Path(output.report).parents[1]}/sem.ome.zarr",
    shell:
        "python -m txm2sem_core predict {params.models} {params.dropout} --calibration {input.calibration:q}"
        " --input {params.volume:q} {params.of_volume} --settings {params.settings:q}"
        " --name {wildcards.sample}/{wildcards.run}/{wildcards.slab}of{wildcards.slabs}"
        " --overwrite --output {params.target:q} --slab {wildcards.slab}/{wildcards.slabs} --slab-report {output.report:q}"
        " --threads {threads} 2>&1 | tee {log:q} >&2"
        f"{KEEP_RECORD}"


rule predict_volume_uncertainty:
    input:
        weights=lambda w: [
            ancient(file) for file in FILES[w.sample].models(RUNS.behind(w.run), "generator.safetensors")
        ],
        models=lambda w: FILES[w.sample].models(RUNS.behind(w.run), "model.json"),
        calibration="<results>/{sample}/predictions/{run}/calibration.json",
        raw=lambda w: raw_volume(w.sample),
        coarse=lambda w: coarse_volume(w.sample, w.run.split("/")[0]),
        slabs=lambda w: slabs_of(f"{RESULTS}/{w.sample}/volumes/{w.run}"),
    output:
        volume=directory("<results>/{sample}/volumes/{run}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{run}/sem.digest",
    log:
        "<logs>/{sample}/predict_volume_uncertainty/{run}.log",
    benchmark:
        "<benchmarks>/{sample}/predict_volume_uncertainty/{run}.tsv"
    wildcard_constraints:
        run=STAYING_RUNS,
    conda:
        "../../envs/torch.yaml"
    threads: 8
    resources:
        gpu=volume_gpu(),
        mem_mb=memory_of("predict_volume_uncertainty"),
        runtime=minutes_of("predict_volume_uncertainty"),
    params:
        code=lambda w: command_code("predict"),
        settings=volume_settings,
        models=lambda w, input: model_options(input.models),
        dropout=lambda w: dropout_options(w.run),
        volume=lambda w: FILES[w.sample].input_volume(w.run.split("/")[0]),
        of_volume=lambda w: FILES[w.sample].volume_options(w.run.split("/")[0]),
        raw_digest=lambda w: volume_digest(w.sample),
    shell:
        "python -m txm2sem_core predict {params.models} {params.dropout} --calibration {input.calibration:q}"
        " --input {params.volume:q} {params.of_volume} --settings {params.settings:q}"
        " --name {wildcards.sample}/{wildcards.run}"
        " --overwrite --output {output.volume:q} --digest {output.digest:q} --threads {threads} 2>&1 | tee {log:q} >&2"
        f"{KEEP_RECORD}"


rule export_volume:
    input:
        volume=ancient("<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}/sem.digest",
    output:
        "<results>/{sample}/volumes/{variant}/seed{seed}/sem.tif",
    log:
        "<logs>/{sample}/export_volume/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/export_volume/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("export_volume"),
        runtime=minutes_of("export_volume"),
    params:
        **run_script(
            "export_volume",
            channel=0,
        ),
    shell:
        RUN_SCRIPT


use rule export_volume as export_ensemble with:
    input:
        volume=ancient("<results>/{sample}/volumes/{variant}/ensemble/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/ensemble/sem.digest",
    output:
        "<results>/{sample}/volumes/{variant}/ensemble/sem.tif",
    log:
        "<logs>/{sample}/export_volume/{variant}_ensemble.log",
    benchmark:
        "<benchmarks>/{sample}/export_volume/{variant}_ensemble.tsv"


use rule export_volume as export_uncertainty with:
    input:
        volume=ancient("<results>/{sample}/volumes/{run}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{run}/sem.digest",
    output:
        "<results>/{sample}/volumes/{run}/sem_uncertainty.tif",
    log:
        "<logs>/{sample}/export_uncertainty/{run}.log",
    benchmark:
        "<benchmarks>/{sample}/export_uncertainty/{run}.tsv"
    params:
        **run_script(
            "export_volume",
            channel=1,
        ),
