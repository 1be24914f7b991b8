# What the TXM shows of a FIB-SEM volume, learnt from the pairs; then what each volume leaves unexplained of the TXM.


rule learn_forward_model:
    input:
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
    output:
        "<results>/{sample}/metrics/forward_model.json",
    log:
        "<logs>/{sample}/learn_forward_model.log",
    benchmark:
        "<benchmarks>/{sample}/learn_forward_model.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("learn_forward_model"),
        runtime=minutes_of("learn_forward_model"),
    params:
        **run_script(
            "learn_forward_model",
            patches=lambda w, input: folder_of(input.description),
        ),
    shell:
        RUN_SCRIPT


rule measure_consistency:
    input:
        volume=ancient("<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}/sem.digest",
        raw=lambda w: raw_volume(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        model="<results>/{sample}/metrics/forward_model.json",
    output:
        metrics="<results>/{sample}/metrics/{variant}/seed{seed}/consistency.json",
        residual=directory("<results>/{sample}/metrics/{variant}/seed{seed}/txm_residual.ome.zarr"),
    log:
        "<logs>/{sample}/measure_consistency/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_consistency/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("measure_consistency"),
        runtime=minutes_of("measure_consistency"),
    params:
        **run_script(
            "measure_consistency",
            patches=lambda w, input: folder_of(input.description),
            raw_digest=lambda w: volume_digest(w.sample),
            txm=lambda w: FILES[w.sample].txm_volume,
            volume=lambda w, input: str(input.volume),
        ),
    shell:
        RUN_SCRIPT


use rule measure_consistency as measure_ensemble_consistency with:
    input:
        volume=ancient("<results>/{sample}/volumes/{variant}/ensemble/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/ensemble/sem.digest",
        raw=lambda w: raw_volume(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        model="<results>/{sample}/metrics/forward_model.json",
    output:
        metrics="<results>/{sample}/metrics/{variant}/ensemble/consistency.json",
        residual=directory("<results>/{sample}/metrics/{variant}/ensemble/txm_residual.ome.zarr"),
    log:
        "<logs>/{sample}/measure_consistency/{variant}_ensemble.log",
    benchmark:
        "<benchmarks>/{sample}/measure_consistency/{variant}_ensemble.tsv"


use rule measure_consistency as measure_true_consistency with:
    input:
        truth=lambda w: truth_files(w.sample),
        raw=lambda w: raw_volume(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        model="<results>/{sample}/metrics/forward_model.json",
    output:
        metrics="<results>/{sample}/metrics/truth/consistency.json",
        residual=directory("<results>/{sample}/metrics/truth/txm_residual.ome.zarr"),
    log:
        "<logs>/{sample}/measure_consistency/truth.log",
    benchmark:
        "<benchmarks>/{sample}/measure_consistency/truth.tsv"
    params:
        **run_script(
            "measure_consistency",
            patches=lambda w, input: folder_of(input.description),
            raw_digest=lambda w: volume_digest(w.sample),
            txm=lambda w: FILES[w.sample].txm_volume,
            volume=lambda w: FILES[w.sample].truth,
        ),


rule summarise_consistency:
    input:
        consistency=lambda w: FILES[w.sample].measured(RUNS.measured_volumes, "consistency.json"),
        truth=lambda w: [FILES[w.sample].metrics("truth/consistency.json")] * FILES[w.sample].has_truth,
    output:
        "<results>/{sample}/metrics/consistency.csv",
    log:
        "<logs>/{sample}/summarise_consistency.log",
    benchmark:
        "<benchmarks>/{sample}/summarise_consistency.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("summarise_consistency"),
        runtime=minutes_of("summarise_consistency"),
    params:
        **run_script(
            "summarise_consistency",
            runs=json.dumps([run.table_key for run in RUNS.measured_volumes]),
        ),
    shell:
        RUN_SCRIPT
