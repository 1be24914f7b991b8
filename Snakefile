# TXM2SEM: from raw pairs of TXM and FIB-SEM slices to a predicted FIB-SEM volume, with the evidence.
# Stages in order: phantom, register, patches, downsample, train, predict, measure, figures. See README.md.
from snakemake.utils import min_version

min_version("9.27")

# A config given on the command line stands alone: it does not add its variants to the default ones.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"


if CONFIG.container:

    container: CONFIG.container


include: "workflow/rules/raw.smk"
include: "workflow/rules/code.smk"
include: "workflow/rules/drawing.smk"
include: "workflow/rules/phantom.smk"
include: "workflow/rules/register.smk"
include: "workflow/rules/patches.smk"
include: "workflow/rules/downsample.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/predict.smk"
include: "workflow/rules/predict_passing.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/consistency.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/provenance.smk"
include: "workflow/rules/records.smk"
include: "workflow/rules/progress.smk"


report: "workflow/report/workflow.rst"


# The failures come last. Snakemake's own log lacks them under --quiet, so its scheduler is asked.
onerror:
    groups = [each.jobs if each.is_group() else [each] for each in workflow.scheduler.failed]
    print_failures([[(job.rule.name, list(job.log)) for job in jobs] for jobs in groups], CONFIG.variants, maker_of)


localrules:
    all,
    models,
    volumes,
    metrics,
    figures,


# Models, volumes and metrics are named too: with figures alone, one that a failed rerun left behind would look current.
rule all:
    default_target: True
    input:
        targets("models", "volumes", "metrics", "figures"),
        WHOLE_RUN,


rule models:
    input:
        targets("models"),


rule volumes:
    input:
        targets("volumes"),


rule metrics:
    input:
        targets("metrics"),


rule figures:
    input:
        targets("figures"),
        WHOLE_RUN,
