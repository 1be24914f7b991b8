# Where the results come from: one record of the run, and the results as a Workflow Run RO-Crate. It looks at what the
# other rules left, at the end of the road, and nothing depends on it.


rule write_provenance:
    input:
        report=ancient("<results>/report.html"),
        report_digest="<results>/report.digest",
        models=[f"{RESULTS}/{n}/models/{v}/seed{s}/model.json" for n in SAMPLES for v, s in runs() + SIDE_RUNS],
        volumes=[ancient(volume) for volume in all_volumes()],
        digests=[digest_of(volume) for volume in all_volumes()],
        tables=[file for file in rules_of("metrics") if not file.endswith(".tex")],
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
        mem_mb=grows(2000),
        runtime=grows(60),
    params:
        **run_script(
            "write_provenance",
            # by functions, since snakemake would look for wildcards in a text
            title=lambda w: CONFIG.title,
            samples=lambda w: json.dumps(
                [sample.model_dump(mode="json") for sample in SAMPLES.values()], sort_keys=True
            ),
            settings=lambda w: report_settings(),
        ),
    shell:
        RUN_SCRIPT
