# Figures, each from its own style and the common one, and the report. The figures are those of the package's catalogue.
from txm2sem_core.report.inputs import report_tables, samples_text, settings_text

for figure in FIGURES:

    rule:
        name:
            f"draw_{figure.name}"
        input:
            unpack(drawn_from(figure)),
        output:
            report(
                multiext(f"<results>/{{sample}}/figures/{figure.file}", *SUFFIXES),
                category="figures",
                caption="../report/figure.rst",
            ),
        log:
            f"<logs>/{{sample}}/{figure.log}.log",
        benchmark:
            f"<benchmarks>/{{sample}}/{figure.log}.tsv"
        conda:
            "../../envs/imaging.yaml"
        resources:
            mem_mb=memory_of(f"draw_{figure.name}"),
            runtime=minutes_of(f"draw_{figure.name}"),
        params:
            **run_script(
                figure.function,
                **figure_params(figure),
            ),
            caption=figure_caption(figure),
        shell:
            RUN_SCRIPT


rule write_report:
    input:
        figures=[file for file in targets("figures") if file.endswith(".png")],
        tables=[file for here in FILES.values() for file in report_tables(here)],
        volumes=[file for here in FILES.values() for file in by_content(here.volumes(RUNS.shown))],
        quality=[f"{here.folder}/registered/quality.csv" for here in FILES.values()],
    output:
        report="<results>/report.html",
        pages=REPORT_PAGES,
        digest="<results>/report.digest",
    log:
        "<logs>/write_report.log",
    benchmark:
        "<benchmarks>/write_report.tsv"
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=memory_of("write_report"),
        runtime=minutes_of("write_report"),
    params:
        **run_script(
            "write_report",
            # by functions, since snakemake would look for wildcards in a text
            title=lambda w: CONFIG.title,
            samples=lambda w: samples_text(FILES.values(), STYLE),
            settings=lambda w: settings_text(CONFIG, CONFIGS),
            expected=lambda w: expected_records(),
        ),
    shell:
        RUN_SCRIPT
