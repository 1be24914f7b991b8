# PSNR and SSIM of the test patches, metrics of the volumes, and the tables that collect them.


rule measure_patches:
    input:
        patches=ancient("<results>/{sample}/predictions/{variant}/seed{seed}/patches.tif"),
        patches_digest="<results>/{sample}/predictions/{variant}/seed{seed}/patches.digest",
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
    output:
        scores="<results>/{sample}/metrics/{variant}/seed{seed}/patches.csv",
        spectra="<results>/{sample}/metrics/{variant}/seed{seed}/spectra.csv",
        resolution="<results>/{sample}/metrics/{variant}/seed{seed}/resolution.csv",
    log:
        "<logs>/{sample}/measure_patches/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_patches/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("measure_patches"),
        runtime=minutes_of("measure_patches"),
    params:
        **run_script(
            "measure_patches",
            settings=lambda w: FILES[w.sample].measure_settings("data_range"),
            patches=lambda w, input: folder_of(input.description),
        ),
    shell:
        RUN_SCRIPT


rule measure_volume:
    input:
        volume=ancient("<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}/sem.digest",
        raw=lambda w: truth_files(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        labels=lambda w: labels_index(w.sample),
    output:
        figures="<results>/{sample}/metrics/{variant}/seed{seed}/volume.json",
        spectra="<results>/{sample}/metrics/{variant}/seed{seed}/volume_spectra.csv",
    log:
        "<logs>/{sample}/measure_volume/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_volume/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 4
    resources:
        mem_mb=memory_of("measure_volume"),
        runtime=minutes_of("measure_volume"),
    params:
        **run_script(
            "measure_volume",
            settings=lambda w: FILES[w.sample].phase_settings("data_range"),
            labels=lambda w: FILES[w.sample].labels,
            patches=lambda w, input: folder_of(input.description),
            truth=lambda w: FILES[w.sample].truth,
        ),
    shell:
        RUN_SCRIPT


use rule measure_patches as measure_ensemble_patches with:
    input:
        patches=ancient("<results>/{sample}/predictions/{variant}/ensemble/patches.tif"),
        patches_digest="<results>/{sample}/predictions/{variant}/ensemble/patches.digest",
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
    output:
        scores="<results>/{sample}/metrics/{variant}/ensemble/patches.csv",
        spectra="<results>/{sample}/metrics/{variant}/ensemble/spectra.csv",
        resolution="<results>/{sample}/metrics/{variant}/ensemble/resolution.csv",
    log:
        "<logs>/{sample}/measure_patches/{variant}_ensemble.log",
    benchmark:
        "<benchmarks>/{sample}/measure_patches/{variant}_ensemble.tsv"


use rule measure_volume as measure_ensemble_volume with:
    input:
        volume=ancient("<results>/{sample}/volumes/{variant}/ensemble/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/ensemble/sem.digest",
        raw=lambda w: truth_files(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        labels=lambda w: labels_index(w.sample),
    output:
        figures="<results>/{sample}/metrics/{variant}/ensemble/volume.json",
        spectra="<results>/{sample}/metrics/{variant}/ensemble/volume_spectra.csv",
    log:
        "<logs>/{sample}/measure_volume/{variant}_ensemble.log",
    benchmark:
        "<benchmarks>/{sample}/measure_volume/{variant}_ensemble.tsv"


rule measure_uncertainty:
    input:
        patches=ancient("<results>/{sample}/predictions/{run}/patches.tif"),
        patches_digest="<results>/{sample}/predictions/{run}/patches.digest",
        spread=ancient("<results>/{sample}/predictions/{run}/spread.tif"),
        calibration="<results>/{sample}/predictions/{run}/calibration.json",
        volume=lambda w: by_content(FILES[w.sample].judged_volumes(w.run)),
        raw=lambda w: truth_files(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
    output:
        scores="<results>/{sample}/metrics/{run}/uncertainty.csv",
        reliability="<results>/{sample}/metrics/{run}/reliability.csv",
    log:
        "<logs>/{sample}/measure_uncertainty/{run}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_uncertainty/{run}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("measure_uncertainty"),
        runtime=minutes_of("measure_uncertainty"),
    params:
        **run_script(
            "measure_uncertainty",
            patches=lambda w, input: folder_of(input.description),
            truth=lambda w: FILES[w.sample].truth,
        ),
    shell:
        RUN_SCRIPT


rule summarise_uncertainty:
    input:
        scores=lambda w: FILES[w.sample].measured(RUNS.uncertain, "uncertainty.csv"),
    output:
        "<results>/{sample}/metrics/uncertainty.csv",
    log:
        "<logs>/{sample}/summarise_uncertainty.log",
    benchmark:
        "<benchmarks>/{sample}/summarise_uncertainty.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("summarise_uncertainty"),
        runtime=minutes_of("summarise_uncertainty"),
    params:
        **run_script(
            "summarise_uncertainty",
            runs=json.dumps([(run.variant, run.name) for run in RUNS.uncertain]),
        ),
    shell:
        RUN_SCRIPT


rule summarise_metrics:
    input:
        patches=lambda w: FILES[w.sample].measured(RUNS.measured, "patches.csv"),
        spectra=lambda w: FILES[w.sample].measured(RUNS.measured, "spectra.csv"),
        resolutions=lambda w: FILES[w.sample].measured(RUNS.measured, "resolution.csv"),
    output:
        patches="<results>/{sample}/metrics/patches.csv",
        summary="<results>/{sample}/metrics/summary.csv",
        markdown=report(
            "<results>/{sample}/metrics/table.md",
            category="metrics",
            caption="../report/table.rst",
        ),
        latex="<results>/{sample}/metrics/table.tex",
        table="<results>/{sample}/metrics/table.csv",
        pairs="<results>/{sample}/metrics/pairs.csv",
        spectra="<results>/{sample}/metrics/spectra.csv",
        resolution="<results>/{sample}/metrics/resolution.csv",
    log:
        "<logs>/{sample}/summarise_metrics.log",
    benchmark:
        "<benchmarks>/{sample}/summarise_metrics.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("summarise_metrics"),
        runtime=minutes_of("summarise_metrics"),
    params:
        **run_script(
            "summarise_metrics",
            runs=json.dumps([run.row() for run in RUNS.measured]),
        ),
    shell:
        RUN_SCRIPT


rule suggest_slices:
    input:
        scores="<results>/{sample}/metrics/patches.csv",
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        raw=lambda w: raw_volume(w.sample),
    output:
        "<results>/{sample}/metrics/suggestions.csv",
    log:
        "<logs>/{sample}/suggest_slices.log",
    benchmark:
        "<benchmarks>/{sample}/suggest_slices.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("suggest_slices"),
        runtime=minutes_of("suggest_slices"),
    params:
        **run_script(
            "suggest_slices",
            patches=lambda w, input: folder_of(input.description),
            raw_digest=lambda w: volume_digest(w.sample),
            txm=lambda w: FILES[w.sample].txm_volume,
            txm_measured=lambda w: FILES[w.sample].sample.txm_volume_measured or "",
        ),
    shell:
        RUN_SCRIPT


rule summarise_volumes:
    input:
        volumes=lambda w: FILES[w.sample].measured(RUNS.measured_volumes, "volume.json"),
        spectra=lambda w: FILES[w.sample].measured(RUNS.measured_volumes, "volume_spectra.csv"),
    output:
        figures="<results>/{sample}/metrics/volumes.csv",
        spectra="<results>/{sample}/metrics/volume_spectra.csv",
    log:
        "<logs>/{sample}/summarise_volumes.log",
    benchmark:
        "<benchmarks>/{sample}/summarise_volumes.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("summarise_volumes"),
        runtime=minutes_of("summarise_volumes"),
    params:
        **run_script(
            "summarise_volumes",
            runs=json.dumps([run.table_key for run in RUNS.measured_volumes]),
        ),
    shell:
        RUN_SCRIPT


rule place_labels:
    input:
        labels=lambda w: given(label_files(SAMPLES[w.sample]).values()),
        index="<results>/{sample}/registered/index.csv",
        transforms="<results>/{sample}/registered/transforms.json",
    output:
        pairs=directory("<results>/{sample}/labels/pairs"),
        index="<results>/{sample}/labels/index.csv",
    log:
        "<logs>/{sample}/place_labels.log",
    benchmark:
        "<benchmarks>/{sample}/place_labels.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("place_labels"),
        runtime=minutes_of("place_labels"),
    params:
        **run_script(
            "place_labels",
            sample=lambda w: SAMPLES[w.sample].model_dump_json(),
            raw_digest=lambda w: labels_digest(w.sample),
        ),
    shell:
        RUN_SCRIPT


rule measure_rock:
    input:
        volume=ancient("<results>/{sample}/volumes/{variant}/seed{seed}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}/sem.digest",
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        labels=lambda w: labels_index(w.sample),
    output:
        figures="<results>/{sample}/metrics/{variant}/seed{seed}/rock.json",
        distributions="<results>/{sample}/metrics/{variant}/seed{seed}/rock_distributions.csv",
        sizes="<results>/{sample}/metrics/{variant}/seed{seed}/rock_sizes.csv",
    log:
        "<logs>/{sample}/measure_rock/{variant}_seed{seed}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_rock/{variant}_seed{seed}.tsv"
    conda:
        "../../envs/imaging.yaml"
    threads: 4
    resources:
        mem_mb=memory_of("measure_rock"),
        runtime=minutes_of("measure_rock"),
    params:
        **run_script(
            "measure_rock",
            settings=lambda w: FILES[w.sample].rock_settings(w.variant),
            labels=lambda w: FILES[w.sample].labels,
            patches=lambda w, input: folder_of(input.description),
            volume=lambda w, input: str(input.volume),
        ),
    shell:
        RUN_SCRIPT


use rule measure_rock as measure_true_rock with:
    input:
        raw=lambda w: truth_files(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        labels=lambda w: labels_index(w.sample),
    output:
        figures="<results>/{sample}/metrics/truth/rock.json",
        distributions="<results>/{sample}/metrics/truth/rock_distributions.csv",
        sizes="<results>/{sample}/metrics/truth/rock_sizes.csv",
    log:
        "<logs>/{sample}/measure_rock/truth.log",
    benchmark:
        "<benchmarks>/{sample}/measure_rock/truth.tsv"
    params:
        **run_script(
            "measure_rock",
            settings=lambda w: FILES[w.sample].rock_settings(),
            labels=lambda w: FILES[w.sample].labels,
            patches=lambda w, input: folder_of(input.description),
            volume=lambda w: FILES[w.sample].truth,
        ),


use rule measure_rock as measure_sample_rock with:
    input:
        volume=ancient("<results>/{sample}/volumes/{variant}/seed{seed}_sample{draw}/sem.ome.zarr"),
        digest="<results>/{sample}/volumes/{variant}/seed{seed}_sample{draw}/sem.digest",
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        labels=lambda w: labels_index(w.sample),
    output:
        figures="<results>/{sample}/metrics/{variant}/seed{seed}_sample{draw}/rock.json",
        distributions="<results>/{sample}/metrics/{variant}/seed{seed}_sample{draw}/rock_distributions.csv",
        sizes="<results>/{sample}/metrics/{variant}/seed{seed}_sample{draw}/rock_sizes.csv",
    log:
        "<logs>/{sample}/measure_rock/{variant}_seed{seed}_sample{draw}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_rock/{variant}_seed{seed}_sample{draw}.tsv"


rule summarise_rock:
    input:
        figures=lambda w: [file for *_, file in FILES[w.sample].rocks],
    output:
        figures="<results>/{sample}/metrics/rock.csv",
        distributions="<results>/{sample}/metrics/rock_distributions.csv",
        intervals="<results>/{sample}/metrics/rock_intervals.csv",
        sizes="<results>/{sample}/metrics/rock_sizes.csv",
    log:
        "<logs>/{sample}/summarise_rock.log",
    benchmark:
        "<benchmarks>/{sample}/summarise_rock.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("summarise_rock"),
        runtime=minutes_of("summarise_rock"),
    params:
        **run_script(
            "summarise_rock",
            runs=lambda w: json.dumps([run for *run, _ in FILES[w.sample].rocks]),
        ),
    shell:
        RUN_SCRIPT


rule measure_side_task:
    input:
        patches=ancient("<results>/{sample}/predictions/{variant}/seed{seed}/patches.tif"),
        patches_digest="<results>/{sample}/predictions/{variant}/seed{seed}/patches.digest",
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
    output:
        "<results>/{sample}/metrics/{variant}/seed{seed}/{task}.csv",
    log:
        "<logs>/{sample}/measure_side_task/{variant}_seed{seed}_{task}.log",
    benchmark:
        "<benchmarks>/{sample}/measure_side_task/{variant}_seed{seed}_{task}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("measure_side_task"),
        runtime=minutes_of("measure_side_task"),
    params:
        **run_script(
            "measure_side_task",
            settings=lambda w: FILES[w.sample].measure_settings("data_range"),
            patches=lambda w, input: folder_of(input.description),
        ),
    shell:
        RUN_SCRIPT


rule summarise_side_task:
    input:
        tables=lambda w: FILES[w.sample].measured(RUNS.of_task(w.task), f"{w.task}.csv"),
    output:
        report("<results>/{sample}/metrics/{task}.csv", category="metrics", caption="../report/side_task.rst"),
    log:
        "<logs>/{sample}/summarise_side_task/{task}.log",
    benchmark:
        "<benchmarks>/{sample}/summarise_side_task/{task}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("summarise_side_task"),
        runtime=minutes_of("summarise_side_task"),
    params:
        **run_script(
            "summarise_side_task",
            runs=lambda w: json.dumps([run.table_key for run in RUNS.of_task(w.task)]),
        ),
    shell:
        RUN_SCRIPT
