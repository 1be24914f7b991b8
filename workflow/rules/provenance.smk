# Where the results come from: one record of the run, and the results as a Workflow Run RO-Crate. It looks at what the
# other rules left, at the end of the pipeline, and nothing depends on it.


rule write_provenance:
    input:
        report=ancient("<results>/report.html"),
        pages=ancient(REPORT_PAGES),
        report_digest="<results>/report.digest",
        models=[file for here in FILES.values() for file in here.models(RUNS.single + RUNS.side_tasks, "model.json")],
        volumes=[ancient(volume) for here in FILES.values() for volume in here.volumes(RUNS.shown)],
        digests=[digest_of(volume) for here in FILES.values() for volume in here.volumes(here.predicted)],
        tables=[file for file in targets("metrics") if not file.endswith(".tex")],
    output:
        record="<results>/provenance.json",
        metadata="<results>/ro-crate-metadata.json",
        workflow=directory("<results>/crate"),
    log:
        "<logs>/write_provenance.log",
    benchmark:
        "<benchmarks>/write_provenance.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("write_provenance"),
        runtime=minutes_of("write_provenance"),
    params:
        **run_script(
            "write_provenance",
            # by functions, since snakemake would look for wildcards in a text
            title=lambda w: CONFIG.title,
            samples=lambda w: json.dumps(
                [sample.model_dump(mode="json") for sample in SAMPLES.values()], sort_keys=True
            ),
            settings=lambda w: settings_text(CONFIG, CONFIGS),
            # with the inputs, so that Snakemake does not compare them: what is kept changes no result
            volumes=lambda w, input: [volume for here in FILES.values() for volume in here.volumes(here.predicted)],
            passing=lambda w, input: [volume for here in FILES.values() for volume in here.volumes(RUNS.passing)],
        ),
    shell:
        RUN_SCRIPT
