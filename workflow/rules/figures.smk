# Figures, each from its own style and the common one, and the report.


rule draw_registration:
    input:
        raw=lambda w: raw_files(w.sample),
        quality="<results>/{sample}/registered/quality.csv",
        transforms="<results>/{sample}/registered/transforms.json",
    output:
        report(
            multiext("<results>/{sample}/figures/registration", *SUFFIXES),
            category="figures",
            caption="../report/registration.rst",
        ),
    log:
        "<logs>/{sample}/draw_registration.log",
    benchmark:
        "<benchmarks>/{sample}/draw_registration.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(30),
    params:
        **run_script(
            "draw_registration",
            style=settings(STYLE.registration),
            common=settings(STYLE.common),
            sample=lambda w: sample_settings(w.sample),
            raw_digest=lambda w: pairs_digest(w.sample),
        ),
    shell:
        RUN_SCRIPT


rule draw_montage:
    input:
        predicted=lambda w: [ancient(file) for file in predicted_patches(w.sample, first_runs())],
        digests=lambda w: map(digest_of, predicted_patches(w.sample, first_runs())),
        stores=lambda w: sorted({f"{patches_folder(w.sample, v)}/store.json" for v in VARIANTS}),
        kept=lambda w: sorted({file for v in VARIANTS for file in kept_in(patches_folder(w.sample, v))}),
    output:
        report(
            multiext("<results>/{sample}/figures/montage_{number}", *SUFFIXES),
            category="figures",
            caption="../report/montage.rst",
        ),
    log:
        "<logs>/{sample}/draw_montage_{number}.log",
    benchmark:
        "<benchmarks>/{sample}/draw_montage_{number}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(30),
    params:
        **run_script(
            "draw_montage",
            style=settings(STYLE.montage),
            common=settings(STYLE.common),
            measure=measure_settings("data_range"),
            variants=json.dumps(VARIANTS),
            patches=lambda w: [patches_folder(w.sample, v) for v in VARIANTS],
        ),
    shell:
        RUN_SCRIPT


rule draw_sections:
    input:
        predicted=lambda w: ancient(f"{RESULTS}/{w.sample}/volumes/{w.variant}/seed{CONFIG.seeds[0]}/sem.ome.zarr"),
        digest=lambda w: f"{RESULTS}/{w.sample}/volumes/{w.variant}/seed{CONFIG.seeds[0]}/sem.digest",
        raw=lambda w: raw_volume(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
    output:
        report(
            multiext("<results>/{sample}/figures/sections/{variant}", *SUFFIXES),
            category="figures",
            caption="../report/sections.rst",
        ),
    log:
        "<logs>/{sample}/draw_sections/{variant}.log",
    benchmark:
        "<benchmarks>/{sample}/draw_sections/{variant}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        **run_script(
            "draw_sections",
            style=settings(STYLE.sections),
            common=settings(STYLE.common),
            txm=lambda w: str(volume_path(SAMPLES[w.sample], Path(RESULTS, w.sample, "raw"))),
            txm_measured=lambda w: SAMPLES[w.sample].txm_volume_measured or "",
            truth=lambda w: truth_volume(w.sample),
        ),
    shell:
        RUN_SCRIPT


rule draw_side_task:
    input:
        patches=lambda w: ancient(f"{RESULTS}/{w.sample}/predictions/{w.variant}/seed{CONFIG.seeds[0]}/patches.tif"),
        digest=lambda w: f"{RESULTS}/{w.sample}/predictions/{w.variant}/seed{CONFIG.seeds[0]}/patches.digest",
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
    output:
        report(
            multiext("<results>/{sample}/figures/{task}/{variant}", *SUFFIXES),
            category="figures",
            caption="../report/side_task.rst",
        ),
    log:
        "<logs>/{sample}/draw_side_task/{task}_{variant}.log",
    benchmark:
        "<benchmarks>/{sample}/draw_side_task/{task}_{variant}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        **run_script(
            "draw_side_task",
            style=settings(STYLE.montage),
            common=settings(STYLE.common),
            patches=lambda w, input: folder_of(input.description),
        ),
    shell:
        RUN_SCRIPT


rule draw_uncertainty:
    input:
        patches=ancient("<results>/{sample}/predictions/{run}/patches.tif"),
        patches_digest="<results>/{sample}/predictions/{run}/patches.digest",
        spread=ancient("<results>/{sample}/predictions/{run}/spread.tif"),
        calibration="<results>/{sample}/predictions/{run}/calibration.json",
        volume=lambda w: (
            by_content([f"{RESULTS}/{w.sample}/volumes/{w.run}/sem.ome.zarr"])
            if has_volume(w.sample) and has_truth(w.sample)
            else []
        ),
        scores="<results>/{sample}/metrics/{run}/uncertainty.csv",
        reliability="<results>/{sample}/metrics/{run}/reliability.csv",
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
    output:
        report(
            multiext("<results>/{sample}/figures/uncertainty/{run}", *SUFFIXES),
            category="figures",
            caption="../report/uncertainty.rst",
        ),
    log:
        "<logs>/{sample}/draw_uncertainty/{run}.log",
    benchmark:
        "<benchmarks>/{sample}/draw_uncertainty/{run}.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        **run_script(
            "draw_uncertainty",
            style=settings(STYLE.uncertainty),
            common=settings(STYLE.common),
            patches=lambda w, input: folder_of(input.description),
            truth=lambda w: truth_volume(w.sample),
        ),
    shell:
        RUN_SCRIPT


rule draw_curves:
    input:
        histories=lambda w: [f"{RESULTS}/{w.sample}/models/{v}/seed{s}/history.csv" for v, s in trained_runs()],
    output:
        report(
            multiext("<results>/{sample}/figures/curves", *SUFFIXES),
            category="figures",
            caption="../report/curves.rst",
        ),
    log:
        "<logs>/{sample}/draw_curves.log",
    benchmark:
        "<benchmarks>/{sample}/draw_curves.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        **run_script(
            "draw_curves",
            style=settings(STYLE.curves),
            common=settings(STYLE.common),
            runs=json.dumps(trained_runs()),
        ),
    shell:
        RUN_SCRIPT


rule draw_comparison:
    input:
        summary="<results>/{sample}/metrics/summary.csv",
        patches="<results>/{sample}/metrics/patches.csv",
    output:
        report(
            multiext("<results>/{sample}/figures/comparison", *SUFFIXES),
            category="figures",
            caption="../report/comparison.rst",
        ),
    log:
        "<logs>/{sample}/draw_comparison.log",
    benchmark:
        "<benchmarks>/{sample}/draw_comparison.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        **run_script(
            "draw_comparison",
            style=settings(STYLE.comparison),
            common=settings(STYLE.common),
        ),
    shell:
        RUN_SCRIPT


rule draw_spectra:
    input:
        spectra="<results>/{sample}/metrics/spectra.csv",
        resolution="<results>/{sample}/metrics/resolution.csv",
        volumes=lambda w: [f"{RESULTS}/{w.sample}/metrics/volume_spectra.csv"] if has_volume(w.sample) else [],
    output:
        report(
            multiext("<results>/{sample}/figures/spectra", *SUFFIXES),
            category="figures",
            caption="../report/spectra.rst",
        ),
    log:
        "<logs>/{sample}/draw_spectra.log",
    benchmark:
        "<benchmarks>/{sample}/draw_spectra.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        **run_script(
            "draw_spectra",
            style=settings(STYLE.spectra),
            common=settings(STYLE.common),
            variants=json.dumps(drawn_variants()),
        ),
    shell:
        RUN_SCRIPT


rule draw_distributions:
    input:
        distributions="<results>/{sample}/metrics/rock_distributions.csv",
    output:
        report(
            multiext("<results>/{sample}/figures/distributions", *SUFFIXES),
            category="figures",
            caption="../report/distributions.rst",
        ),
    log:
        "<logs>/{sample}/draw_distributions.log",
    benchmark:
        "<benchmarks>/{sample}/draw_distributions.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        **run_script(
            "draw_distributions",
            style=settings(STYLE.distributions),
            common=settings(STYLE.common),
            variants=json.dumps(drawn_variants()),
        ),
    shell:
        RUN_SCRIPT


rule draw_phases:
    input:
        volumes=lambda w: [ancient(volume) for volume in predicted_volumes(w.sample, folders_of(drawn_runs()))],
        digests=lambda w: map(digest_of, predicted_volumes(w.sample, folders_of(drawn_runs()))),
        raw=lambda w: truth_files(w.sample),
        description="<results>/{sample}/patches/store.json",
        kept=lambda w: kept_in(f"{RESULTS}/{w.sample}/patches"),
        labels=lambda w: labels_index(w.sample),
    output:
        report(
            multiext("<results>/{sample}/figures/phases", *SUFFIXES),
            category="figures",
            caption="../report/phases.rst",
        ),
    log:
        "<logs>/{sample}/draw_phases.log",
    benchmark:
        "<benchmarks>/{sample}/draw_phases.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(4000),
        runtime=grows(60),
    params:
        **run_script(
            "draw_rock",
            figure="phases",
            style=settings(STYLE.phases),
            common=settings(STYLE.common),
            measure=measure_settings(*PHASE_KEYS),
            phase_labels=lambda w: labels_folder(w.sample),
            labels=json.dumps(drawn_variants()),
            truth=lambda w: truth_volume(w.sample),
            patches=lambda w, input: folder_of(input.description),
        ),
    shell:
        RUN_SCRIPT


use rule draw_phases as draw_pore_space with:
    output:
        report(
            multiext("<results>/{sample}/figures/pore_space", *SUFFIXES),
            category="figures",
            caption="../report/pore_space.rst",
        ),
    log:
        "<logs>/{sample}/draw_pore_space.log",
    benchmark:
        "<benchmarks>/{sample}/draw_pore_space.tsv"
    params:
        **run_script(
            "draw_rock",
            figure="pore_space",
            style=settings(STYLE.pore_space),
            common=settings(STYLE.common),
            measure=measure_settings(*PHASE_KEYS),
            phase_labels=lambda w: labels_folder(w.sample),
            labels=json.dumps(drawn_variants()),
            truth=lambda w: truth_volume(w.sample),
            patches=lambda w, input: folder_of(input.description),
        ),


rule write_report:
    input:
        figures=[file for sample in SAMPLES for file in sample_figures(sample) if file.endswith(".png")],
        tables=[file for sample in SAMPLES for file in metric_tables(sample)],
        volumes=[
            file
            for n in SAMPLES
            if has_volume(n)
            for file in by_content(
                predicted_volumes(n, folders_of(first_runs()) + [f"{v}/ensemble" for v in CONFIG.ensembles])
            )
        ],
        quality=[f"{RESULTS}/{sample}/registered/quality.csv" for sample in SAMPLES],
    output:
        report="<results>/report.html",
        digest="<results>/report.digest",
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        **run_script(
            "write_report",
            # by functions, since snakemake would look for wildcards in a text
            title=lambda w: CONFIG.title,
            samples=lambda w: report_samples(),
            settings=lambda w: report_settings(),
            expected=lambda w: expected_records(),
        ),
    shell:
        RUN_SCRIPT
