# What rules run, and how their dependencies are compared by content. One digest of the code is a param of the rule.
# With the directive `script` a rule would rerun whenever a file is merely touched, and with files of code as inputs
# whenever one of them is reworded.
import base64
import inspect
import zlib

from txm2sem_core.provenance import code_digest

# what every job does in the end: leave a record of what its result was made with (records.smk)
KEEP_RECORD = ' && mkdir -p "$(dirname {params.record:q})" && printf %s {params.made_with:q} > {params.record:q}'
RUN_SCRIPT = "python {params.runner:q} {params.script} {log:q} {threads} <<< {params.job:q}" + KEEP_RECORD


LONGEST_JOB = 2**14  # characters of a job that stands in a command as it is


def packed(text):
    """A text in fewer characters, as `run_script.py` reads it."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def run_script(script, **own):
    """Params by which `RUN_SCRIPT` runs `workflow/scripts/SCRIPT.py`, or calls `module:function` of the package.

    They are its own, a digest of all code that the script uses, and two that Snakemake does not compare, since they are
    made of the job's files: where the workflow lies, and the job as JSON, which holds the other params and the files. The
    report's grows with samples and seeds; Linux takes no command longer than 128 KiB, so a long one is packed.
    """

    def runner(wildcards, output):
        return str(ROOT / "workflow/run_script.py")

    def job(wildcards, input, output):
        files = {"input": input, "output": output}
        text = json.dumps(
            {name: {"files": list(held), "names": dict(held.items())} for name, held in files.items()}
            | {"wildcards": dict(wildcards.items())}
            | {"params": {name: valued(value, wildcards, files) for name, value in own.items()}}
        )
        return text if len(text) < LONGEST_JOB else packed(text)

    return {"script": script, "code": lambda w: script_code(script), **own, "runner": runner, "job": job}


def valued(param, wildcards, files):
    """A param's value: of a function, what it answers to those of its arguments that Snakemake knows."""
    if not callable(param):
        return param
    return param(wildcards, **{name: files[name] for name in files if name in inspect.signature(param).parameters})


@cache
def script_code(script):
    """A digest of all code that a script, or a function of the package, uses."""
    scripts = ROOT / "workflow/scripts"
    return code_digest(*([scripts / "call_function.py", script] if ":" in script else [scripts / f"{script}.py"]))


@cache
def command_code(command):
    """A digest of all code that a command of `txm2sem` uses, with the user's own networks."""
    return code_digest(f"cli:{command}", *map(Path, CONFIG.plugins))


def by_content(volumes):
    """Volumes of the results as inputs: each with the digest beside it, since of a folder Snakemake compares times."""
    return [ancient(volume) for volume in volumes] + [digest_of(volume) for volume in volumes]


def digest_of(made):
    """The small file that tells a volume or stack of the results, NAME.ome.zarr or NAME.tif, from another: NAME.digest."""
    return f"{made.removesuffix('.ome.zarr').removesuffix('.tif')}.digest"


def kept_in(folder):
    """What a patch store holds beside its store.json, which tells it from another: needed where that is read."""
    return [ancient(f"{folder}/{name}") for name in ("store.safetensors", "index.csv")]


def maker_of(path):
    """The output of a rule that `path` is or lies in, or None."""
    for place in (path, *path.parents):
        if any(each.is_producer(str(place)) for each in workflow.rules):
            return str(place)
