# The checked configuration, and the helpers that several stages' rules share. Beside raw.smk, code.smk and records.smk,
# nothing else defines functions for rules.
import json
import os
import shlex
import sys
from functools import cache
from pathlib import Path

# the package beside this workflow is the one that runs, also where it is not installed (as with --sdm conda)
# (of this file, as the Snakefile may be a module of another workflow)
ROOT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if not (ROOT / "txm2sem_core").is_dir():
    sys.exit(f"txm2sem: error: {ROOT}: a module's jobs run its files. Copy the workflow to this machine, and name it.")
sys.path.insert(0, str(ROOT))
places = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
# no job runs Python files that merely lie in the folder it works in, or beside the copy of its script in .snakemake
os.environ.update(PYTHONPATH=os.pathsep.join(places), PYTHONSAFEPATH="1")

from txm2sem_core.config import FILTERS
from txm2sem_core.errors import told_to_user
from txm2sem_core.failures import print_failures
from txm2sem_core.io import read_yaml
from txm2sem_core.io.locks import hold_run
from txm2sem_core.io.results import check_results
from txm2sem_core.preflight import before_planning, check_run
from txm2sem_core.samples import volume_path

with told_to_user():
    RUNNING = hold_run(Path(".snakemake"), works=not workflow.dryrun) if workflow.is_main_process else None
    for file in workflow.configfiles:
        read_yaml(file)  # as strictly as ours: snakemake takes the last of two equal keys without a word
    checked = check_run(config)
    CONFIG, SAMPLES, STYLE = checked.config, checked.samples, checked.style
    CONFIGS = checked.of_sample  # with the context that each sample allows
    if workflow.is_main_process:
        check_results(Path(CONFIG.results_dir), SAMPLES)
        before_planning(checked)

# read by jobs from the environment, so that none is part of a rule and a change reruns nothing; results for their mark
os.environ.update(TXM2SEM_DEVICE=CONFIG.device, TXM2SEM_MEMORY_GIB=str(CONFIG.memory_gib))
os.environ.update(TXM2SEM_TENSORBOARD="1" if CONFIG.tensorboard else "")
# the files themselves are part of the code of the rules that run networks
os.environ.update(TXM2SEM_PLUGINS=os.pathsep.join(CONFIG.plugins), TXM2SEM_RESULTS=CONFIG.results_dir)

RESULTS = CONFIG.results_dir
if workflow.modifier.path_modifier.replace_prefix(RESULTS) != RESULTS:
    sys.exit("txm2sem: error: module: prefix and replace_prefix do not work here. Set results_dir in its config.")
VARIANTS = list(CONFIG.translations)
# fitted at once, on the CPU
BASELINES = [name for name in VARIANTS if CONFIG.variant(name).family == "baseline"]
# variants that repair or segment: they have tables and figures of their own, and no volume
SIDE_RUNS = [(v, seed) for v in CONFIG.side_tasks for seed in CONFIG.seeds]
# the report shows the PNG, so it comes first
SUFFIXES = [f".{name}" for name in sorted(STYLE.common.formats, key=lambda name: name != "png")]
MONTAGES = [f"montage_{number + 1}" for number in range(STYLE.montage.patches)]
# every (variant, run) whose predictions have an uncertainty: the `ensemble` of all seeds, or dropout of one seed
SPREAD_RUNS = [(variant, "ensemble") for variant in CONFIG.ensembles]
SPREAD_RUNS += [(v, f"seed{s}") for v in CONFIG.dropout_variants for s in CONFIG.seeds_of(v)]
# what the segmentation of volumes depends on; the forest's settings only where there is one
PHASE_KEYS = ["phases", "segmentation", "thresholds"] + ["forest"] * (CONFIG.measure.segmentation == "forest")
# of a wildcard whose list is empty; a space would not do, since snakemake strips it and then takes anything
NOTHING = "(?!)"

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
    task="repair|segmentation",
    seed="|".join(map(str, CONFIG.seeds)),
    factor="|".join(map(str, CONFIG.factors)) or NOTHING,
    run="|".join(f"{variant}/{name}" for variant, name in SPREAD_RUNS) or NOTHING,
    number=r"\d+",
    slab=r"\d+",
    slabs=r"\d+",


def runs():
    """Every (variant, seed) that is trained."""
    return [(variant, seed) for variant in VARIANTS for seed in CONFIG.seeds_of(variant)]


def folders_of(chosen):
    """The folder of each (variant, seed)."""
    return [f"{variant}/seed{seed}" for variant, seed in chosen]


def measured_runs():
    """The folder of every prediction that is measured: each seed of each variant, then the ensembles."""
    return folders_of(runs()) + [f"{v}/ensemble" for v in CONFIG.ensembles]


def described_runs():
    """What the tables say of each of `measured_runs`; an ensemble counts as a variant of its own."""

    def described(variant, name, seed, models):
        own = CONFIG.variant(variant)
        return [name, seed, own.family, own.generator.name, own.factor, models]

    each = [described(variant, variant, seed, 1) for variant, seed in runs()]
    return each + [described(v, f"{v}_ensemble", CONFIG.seeds[0], len(CONFIG.seeds)) for v in CONFIG.ensembles]


def run_models(sample, run, file):
    """A file of each model behind `variant/run`."""
    variant, name = run.split("/")
    seeds = CONFIG.seeds_of(variant) if name == "ensemble" else [name.removeprefix("seed")]
    return [f"{RESULTS}/{sample}/models/{variant}/seed{seed}/{file}" for seed in seeds]


def model_options(files):
    """The folders of models as options of a command."""
    return " ".join(f"--model {shlex.quote(folder_of(file))}" for file in files)


def dropout_options(run):
    """Passes with dropout as options of a command; none for an ensemble."""
    chosen = CONFIG.predict.uncertainty
    return "" if Path(run).name == "ensemble" else f"--samples {chosen.dropout_samples} --seed {chosen.seed}"


def predict_settings():
    """What a prediction without uncertainty needs of `predict:`, as one canonical string."""
    return json.dumps(CONFIG.predict.model_dump(mode="json", exclude={"uncertainty", "jobs"}), sort_keys=True)


def slabs_of(folder):
    """The reports of the jobs that predict the volume in `folder`; none where a single job does it all."""
    jobs = CONFIG.predict.jobs
    return [f"{folder}/slabs/{slab}of{jobs}.json" for slab in range(1, jobs + 1)] if jobs > 1 else []


def volume_gpu():
    """GPUs of the job that predicts a whole volume, or of the one that closes what several predicted."""
    return 0 if CONFIG.predict.jobs > 1 else 1


def measure_settings(*keys):
    """These keys of `measure:` as one canonical string: a figure is made again only by what it depends on."""
    return json.dumps(CONFIG.measure.model_dump(mode="json", include=set(keys)), sort_keys=True)


def rock_runs(sample):
    """The folder of every volume whose rock is measured: the truth where it is known, then each seed's prediction."""
    return (["truth"] if has_truth(sample) else []) + [f"{variant}/seed{seed}" for variant, seed in runs()]


def has_volume(sample):
    """Whether the sample has a TXM volume to predict."""
    return volume_path(SAMPLES[sample], Path(RESULTS, sample, "raw")) is not None


def has_truth(sample):
    """Whether the true FIB-SEM volume is known."""
    return SAMPLES[sample].source == "phantom"


def predicted_patches(sample, runs):
    """The predicted test patches of every (variant, seed)."""
    return [f"{RESULTS}/{sample}/predictions/{variant}/seed{seed}/patches.tif" for variant, seed in runs]


def predicted_volumes(sample, runs):
    """The predicted volume of every run, a folder of a variant."""
    return [f"{RESULTS}/{sample}/volumes/{run}/sem.ome.zarr" for run in runs]


def all_volumes():
    """Every predicted volume."""
    return [volume for n in SAMPLES if has_volume(n) for volume in predicted_volumes(n, measured_runs())]


def folder_of(file):
    """The folder that a command is given, of a file that the rule names."""
    return str(Path(file).parent)


def grows(amount):
    """A resource that grows with every attempt: a job that ended for want of memory or time gets more of it."""
    return lambda wildcards, attempt: amount * attempt


def settings(group):
    """A group of settings as one canonical string: snakemake compares params as a set of values."""
    return group.canonical_json()


def sample_settings(sample):
    """A row of the sample table as one canonical string; without labels, which come after the training."""
    return json.dumps(SAMPLES[sample].model_dump(mode="json", exclude={"labels", "voxel_size_from"}), sort_keys=True)


def patches_folder(sample, variant):
    """The patch store at the variant's factor."""
    factor = CONFIG.variant(variant).factor
    return f"{RESULTS}/{sample}/patches" + ("" if factor == 1 else f"_x{factor}")


def volume_input(sample, variant):
    """The TXM volume at the variant's factor: as measured, or synthetically coarser."""
    factor = CONFIG.variant(variant).factor
    if factor > 1:
        return f"{RESULTS}/{sample}/patches_x{factor}/txm_volume.ome.zarr"
    return str(volume_path(SAMPLES[sample], Path(RESULTS, sample, "raw")))


def coarse_volume(sample, variant):
    """The coarser TXM volume that the variant needs, as an input; nothing for factor 1."""
    return by_content([volume_input(sample, variant)]) if CONFIG.variant(variant).factor > 1 else []


def draws_neighbours(variant):
    """Whether the variant's training draws slices from the TXM volume."""
    return CONFIG.variant(variant).z_penalty.stack > 0


def neighbour_files(sample, variant):
    """The TXM volume as an input of the training, where it draws slices from it."""
    if not draws_neighbours(variant):
        return []
    return coarse_volume(sample, variant) or raw_volume(sample)


def neighbour_option(sample, variant):
    """The same as the command's option."""
    if not draws_neighbours(variant):
        return ""
    return " ".join([f"--volume {shlex.quote(volume_input(sample, variant))}", *mask_options(sample)])


def neighbour_digest(sample, variant):
    """A digest of the user's volume, where the training draws slices from it."""
    return volume_digest(sample) if draws_neighbours(variant) else ""


def volume_options(sample, variant):
    """What the sample table says of the TXM volume, as options of a command.

    The voxel size, which otherwise, and for coarser volumes, is the file's; and the mask of what was measured, which
    may be of the finer volume.
    """
    size = None if CONFIG.variant(variant).factor > 1 else SAMPLES[sample].voxel_size()
    options = [] if size is None else ["--voxel-size-nm " + " ".join(f"{axis:g}" for axis in size)]
    return " ".join([*options, *mask_options(sample)])


def mask_options(sample):
    """The mask of what was measured of the TXM volume, as an option of a command; none where it is found."""
    mask = SAMPLES[sample].txm_volume_measured
    return [] if mask is None else [f"--measured {shlex.quote(mask)}"]


def rules_of(target):
    """The files of a target, for every sample."""
    files = []
    for sample in SAMPLES:
        here = f"{RESULTS}/{sample}"
        if target == "models":
            files += [f"{here}/models/{v}/seed{s}/generator.safetensors" for v, s in runs() + SIDE_RUNS]
        elif target == "volumes" and has_volume(sample):
            names = ["sem.ome.zarr", "sem.tif"] if CONFIG.tiff_volumes else ["sem.ome.zarr"]
            files += [f"{here}/volumes/{v}/seed{s}/{name}" for v, s in runs() for name in names]
            files += [f"{here}/volumes/{v}/ensemble/{name}" for v in CONFIG.ensembles for name in names]
            names = ["sem_uncertainty.tif"] if CONFIG.tiff_volumes else []
            files += [f"{here}/volumes/{v}/{run}/{name}" for v, run in SPREAD_RUNS for name in names]
        elif target == "metrics":
            names = ["patches.csv", "summary.csv", "pairs.csv", "table.md", "table.tex", "table.csv"]
            names += ["spectra.csv", "resolution.csv"]
            names += ["volumes.csv", "volume_spectra.csv", "rock.csv"] if has_volume(sample) else []
            names += ["uncertainty.csv"] if SPREAD_RUNS else []
            names += [f"{task}.csv" for task in side_tasks()]
            files += [f"{here}/metrics/{name}" for name in names]
        elif target == "figures":
            files += sample_figures(sample)
    return files + ([f"{RESULTS}/report.html", f"{RESULTS}/provenance.json"] if target == "figures" else [])


def metric_tables(sample):
    """The tables of a sample that the report may show."""
    files = rules_of("metrics")
    return [file for file in files if file.endswith(".csv") and file.startswith(f"{RESULTS}/{sample}/metrics/")]


def side_tasks():
    """The side tasks that variants have."""
    return sorted({CONFIG.variant(variant).family for variant in CONFIG.side_tasks})


def side_runs(task):
    """Every (variant, seed) of a side task."""
    return [(variant, seed) for variant, seed in SIDE_RUNS if CONFIG.variant(variant).family == task]


def first_runs():
    """Every variant with its first seed."""
    return [(variant, CONFIG.seeds_of(variant)[0]) for variant in VARIANTS]


def trained_variants():
    """The variants that are trained: baselines are fitted at once, have no curves, and hold no surprise in a picture."""
    return list(CONFIG.trained)


def drawn_variants():
    """The variants in charts and maps of the rock: what is learned, without filters; or all where nothing is."""
    return [name for name in CONFIG.trained if CONFIG.variant(name).generator.name not in FILTERS] or VARIANTS


def drawn_runs():
    """Each of them with its first seed."""
    return [(variant, seed) for variant, seed in first_runs() if variant in drawn_variants()]


def trained_runs():
    """Every (variant, seed) that has training curves."""
    return [(variant, seed) for variant, seed in runs() if variant in trained_variants()]


def truth_volume(sample):
    """The true FIB-SEM volume, or nothing."""
    return f"{RESULTS}/{sample}/raw/truth/sem.tif" if has_truth(sample) else ""


def report_samples():
    """What the report is told of each sample, as one canonical string."""
    samples = []
    for name, sample in SAMPLES.items():
        volume = volume_path(sample, Path(RESULTS, name, "raw"))
        volumes = [
            {"variant": v, "path": f"{RESULTS}/{name}/volumes/{v}/seed{s}/sem.ome.zarr"}
            for v, s in (first_runs() if has_volume(name) else [])
        ]
        volumes += [
            {"variant": f"{v}_ensemble", "path": f"{RESULTS}/{name}/volumes/{v}/ensemble/sem.ome.zarr"}
            for v in (CONFIG.ensembles if has_volume(name) else [])
        ]
        figures = [figure_files(name, figure)[0] for figure in figure_names(name)]
        samples.append(
            {
                "name": name,
                "source": sample.source,
                "folder": f"{RESULTS}/{name}",
                "figures": figures,
                "volumes": volumes,
                "txm_volume": None if volume is None else str(volume),
                "txm_volume_measured": sample.txm_volume_measured,
                "truth": truth_volume(name) or None,
                "tables": [Path(file).name for file in metric_tables(name)],
                "left_out": list(CONFIG.leave_out),
            }
        )
    return json.dumps(samples, sort_keys=True)


def report_settings():
    """The settings as the report shows them, without those that are only of how it ran or looks."""
    import yaml

    shown = CONFIG.model_dump(
        mode="json",
        by_alias=True,
        exclude={"device", "memory_gib", "tensorboard", "tiff_volumes", "figures"},
    )
    if len({own.patches.context for own in CONFIGS.values()}) > 1:
        del shown["patches"]["context"]  # of each sample its own, as `auto` says
    return yaml.safe_dump(shown, sort_keys=True, allow_unicode=True)


def figure_files(sample, name):
    """A figure in every format that the style asks for."""
    return [f"{RESULTS}/{sample}/figures/{name}{suffix}" for suffix in SUFFIXES]


def figure_names(sample):
    """The figures of a sample, in the order of the report."""
    names = ["comparison", *MONTAGES]
    if has_volume(sample):
        names += [f"sections/{variant}" for variant in trained_variants()]
        names += ["phases", "pore_space", "distributions"]
    names += [f"uncertainty/{variant}/{run}" for variant, run in SPREAD_RUNS]
    names += [f"{task}/{variant}" for task in side_tasks() for variant in dict(side_runs(task))]
    names += ["spectra"]
    names += ["curves"] if trained_variants() else []
    return [*names, "registration"]


def sample_figures(sample):
    """Every figure of a sample in every format."""
    return [file for name in figure_names(sample) for file in figure_files(sample, name)]
