# The checked configuration, and the helpers that several stages' rules share. Beside raw.smk, code.smk, drawing.smk,
# records.smk and progress.smk, nothing else defines functions for rules.
import json
import os
import shlex
import sys
from functools import cache
from pathlib import Path

from snakemake_interface_executor_plugins.settings import DeploymentMethod

# the package beside this workflow is the one that runs, also where it is not installed (as with --sdm conda)
# (of this file, as the Snakefile may be a module of another workflow)
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
INSTALLED = ROOT.parts[-2:] == ("txm2sem_core", "project")  # within the package of a wheel
if not INSTALLED and not (ROOT / "txm2sem_core").is_dir():
    sys.exit(f"txm2sem: error: {ROOT}: a module's jobs run its files. Copy the workflow to this machine, and name it.")
if INSTALLED and workflow.deployment_settings.deployment_method:
    sys.exit(
        "txm2sem: error: --sdm: an installed workflow runs in the environment that it is installed in. Leave it out."
    )
if not INSTALLED:
    sys.path.insert(0, str(ROOT))
    places = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ.update(PYTHONPATH=os.pathsep.join(places))
# no job runs Python files that merely lie in the folder it works in, or beside the copy of its script in .snakemake
os.environ.update(PYTHONSAFEPATH="1")

from txm2sem_core.catalogue.targets import sample_targets, suffixes
from txm2sem_core.config import Runs
from txm2sem_core.config.families import TASKS
from txm2sem_core.costs.reservations import Reservations
from txm2sem_core.errors import report_user_errors
from txm2sem_core.io import read_yaml
from txm2sem_core.io.locks import hold_run
from txm2sem_core.io.results import check_results
from txm2sem_core.report.failures import print_failures
from txm2sem_core.report.inputs import report_pages
from txm2sem_core.samples.files import SampleFiles
from txm2sem_core.samples.preflight import before_planning, check_run

with report_user_errors():
    RUNNING = hold_run(Path(".snakemake"), works=not workflow.dryrun) if workflow.is_main_process else None
    for file in workflow.configfiles:
        read_yaml(file)  # as strictly as ours: snakemake takes the last of two equal keys without a word
    checked = check_run(config)
    CONFIG, SAMPLES, STYLE = checked.config, checked.samples, checked.style
    CONFIGS = checked.of_sample  # with the context that each sample allows
    if workflow.is_main_process:
        check_results(Path(CONFIG.results_dir), SAMPLES)
        before_planning(checked)

if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method and not CONFIG.container:
    sys.exit(
        "txm2sem: error: --sdm apptainer: container: names no image to run jobs in. Set it in the configuration "
        "(docs/guides/containers.md), or leave --sdm apptainer out."
    )

RESERVATIONS = Reservations(checked)

# read by jobs from the environment, so that none is part of a rule and a change reruns nothing; results for their mark
os.environ.update(TXM2SEM_DEVICE=CONFIG.device, TXM2SEM_MEMORY_GIB=str(CONFIG.memory_gib))
os.environ.update(TXM2SEM_TENSORBOARD="1" if CONFIG.tensorboard else "")
# the files themselves are part of the code of the rules that run networks
os.environ.update(TXM2SEM_PLUGINS=os.pathsep.join(CONFIG.plugins), TXM2SEM_RESULTS=CONFIG.results_dir)

RESULTS = CONFIG.results_dir
if workflow.modifier.path_modifier.replace_prefix(RESULTS) != RESULTS:
    sys.exit("txm2sem: error: module: prefix and replace_prefix do not work here. Set results_dir in its config.")
RUNS = Runs(CONFIG)
FILES = {name: SampleFiles(sample, CONFIG, RUNS) for name, sample in SAMPLES.items()}
# fitted at once, on the CPU
BASELINES = [name for name in CONFIG.translations if name not in CONFIG.trained]
SUFFIXES = suffixes(STYLE)  # the report shows the PNG, so it comes first
REPORT_PAGES = report_pages(CONFIG, FILES.values())
WHOLE_RUN = [f"{RESULTS}/report.html", *REPORT_PAGES, f"{RESULTS}/provenance.json"]
# of a wildcard whose list is empty; a space would not do, since snakemake strips it and then takes anything
NOTHING = "(?!)"
# whose volumes stay, and whose pass (predict.keep): wildcards of the rules that predict them
ONE_PASS = "|".join(name for name in CONFIG.translations if name not in CONFIG.dropout_variants) or NOTHING
STAYING_SEEDS, PASSING_SEEDS = (CONFIG.seeds[:1], CONFIG.seeds[1:]) if RUNS.passing else (CONFIG.seeds, ())
STAYING_SEEDS, PASSING_SEEDS = ("|".join(map(str, seeds)) or NOTHING for seeds in (STAYING_SEEDS, PASSING_SEEDS))
STAYING_DRAWS, PASSING_DRAWS = (NOTHING, r"\d+") if RUNS.passing else (r"\d+", NOTHING)
STAYING_RUNS = "|".join(run.folder for run in RUNS.uncertain if run not in RUNS.passing) or NOTHING
PASSING_RUNS = "|".join(run.folder for run in RUNS.uncertain if run in RUNS.passing) or NOTHING

# said once, not by every job
if workflow.is_main_process and CONFIG.dropout_variants:
    without = [name for name in CONFIG.trained if name not in CONFIG.dropout_variants]
    if without:
        print(
            f"txm2sem: no dropout, so no uncertainty by it: {', '.join(without)} (generator.dropout)", file=sys.stderr
        )


pathvars:
    results=RESULTS,
    logs=f"{RESULTS}/logs",
    benchmarks=f"{RESULTS}/benchmarks",


wildcard_constraints:
    sample="|".join(SAMPLES),
    variant="|".join(CONFIG.variants),
    task="|".join(TASKS),
    seed="|".join(map(str, CONFIG.seeds)),
    factor="|".join(map(str, CONFIG.factors)) or NOTHING,
    run="|".join(run.folder for run in RUNS.uncertain) or NOTHING,
    draw=r"\d+",
    number=r"\d+",
    slab=r"\d+",
    slabs=r"\d+",


def targets(*kinds):
    """The files of some targets, for every sample."""
    of_samples = [sample_targets(here, STYLE) for here in FILES.values()]
    return [file for files in of_samples for kind in kinds for file in files[kind]]


def model_options(files):
    """The folders of models as options of a command."""
    return " ".join(f"--model {shlex.quote(folder_of(file))}" for file in files)


def dropout_options(run):
    """Passes with dropout as options of a command; none for an ensemble."""
    chosen = CONFIG.predict.uncertainty
    return "" if Path(run).name == "ensemble" else f"--samples {chosen.dropout_samples} --seed {chosen.seed}"


def predict_settings(wildcards):
    """What a prediction of test patches needs of `predict:`, as one canonical string; the TXM guides volumes alone."""
    return settings_without(wildcards, {"ome_zarr", "guided_steps"})


def volume_settings(wildcards):
    """The same of a volume."""
    return settings_without(wildcards, set())


def settings_without(wildcards, left_out):
    """What predictions need of `predict:`; what is of samples, only for a variant with some."""
    variant = getattr(wildcards, "variant", None) or wildcards.run.split("/")[0]
    unused = {"uncertainty", "jobs", "samples", "keep", *left_out}
    if not CONFIG.variant(variant).rules.samples:
        unused |= {"coherence", "guided_steps"}
    return json.dumps(CONFIG.predict.model_dump(mode="json", exclude=unused), sort_keys=True)


def run_of(wildcards):
    """The folder of a prediction by one model: a seed's, or that of a further sample."""
    further = f"_sample{wildcards.draw}" if hasattr(wildcards, "draw") else ""
    return f"{wildcards.variant}/seed{wildcards.seed}{further}"


def draw_option(wildcards):
    """Which sample a command is to draw; none for the first."""
    return f"--draw {wildcards.draw}" if hasattr(wildcards, "draw") else ""


def slabs_of(folder):
    """The reports of the jobs that predict the volume in `folder`; none where a single job does it all."""
    jobs = CONFIG.predict.jobs
    return [f"{folder}/slabs/{slab}of{jobs}.json" for slab in range(1, jobs + 1)] if jobs > 1 else []


def volume_gpu():
    """GPUs of the job that predicts a whole volume, or of the one that closes what several predicted."""
    return 0 if CONFIG.predict.jobs > 1 else 1


def folder_of(file):
    """The folder that a command is given, of a file that the rule names."""
    return str(Path(file).parent)


def memory_of(rule):
    """MB of a rule's job, by the sizes of its sample; one that ended for want of memory gets more with every attempt."""
    return lambda wildcards, threads, attempt: reckoned(RESERVATIONS.memory_mb, rule, wildcards, threads) * attempt


def minutes_of(rule):
    """Its time, which grows with every attempt, too."""
    return lambda wildcards, threads, attempt: reckoned(RESERVATIONS.minutes, rule, wildcards, threads) * attempt


def reckoned(reserved, rule, wildcards, threads):
    """What a job reserves. On a node of a cluster one that uses a network need not know it, and would load PyTorch."""
    if not workflow.is_main_process and rule.split("_")[0] in ("train", "predict"):
        return 1
    return reserved(rule, dict(wildcards.items()), threads)


def settings(group):
    """A group of settings as one canonical string: snakemake compares params as a set of values."""
    return group.canonical_json()
