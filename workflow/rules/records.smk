# The settings of every result are recorded. Each job of ours writes its rule's settings beside the results, and a job
# with a record of other settings reruns: also where Snakemake does not know, since its folder .snakemake was removed or
# results_dir moved, or does not compare, with --rerun-triggers mtime.
from snakemake.iocontainers import Wildcards

from txm2sem_core.provenance.records import changes, expected_text, record_of, record_text

NO_SETTINGS = ("code", "script")  # code is compared by Snakemake alone, where its user lets it


def compared_params(own):
    """The params of a rule that follow from the configuration and the raw data alone, not from the files of its jobs."""
    return {
        name: value
        for name, value in own.params.items()
        if name not in NO_SETTINGS
        and (isinstance(value, str) or callable(value) and len(inspect.signature(value).parameters) == 1)
    }


def values_of(params, wildcards):
    """What they are for one job."""
    return {name: str(value(wildcards) if callable(value) else value) for name, value in params.items()}


def made_again(own, params, wildcards):
    """Put a job into the plan whose result stands there with other settings; no input of it."""
    outputs = [str(file.apply_wildcards(wildcards)) for file in own.output]
    output = outputs[0]  # it alone may be gone: a volume that passed
    if not workflow.is_main_process or not any(map(os.path.lexists, outputs)):
        return []
    with report_user_errors():
        values = values_of(params, wildcards)
    record = Path(record_of(output, RESULTS))
    changed = changes(record, values, RESULTS)
    if changed and workflow.touch and not workflow.dryrun:  # the user vouches for the results (--touch)
        record.write_text(record_text(values, RESULTS), encoding="utf-8")
    elif changed:
        workflow.dag.forcefiles.add(output)
        report_rerun(output, changed)
    return []


REPORTED = []


def report_rerun(output, changed):
    """Name a result that is made again, and why; of many the first ones."""
    REPORTED.append(output)
    if len(REPORTED) <= 20:
        print(f"txm2sem: made with other settings, so made again: {output} ({changed})", file=sys.stderr)
    elif len(REPORTED) == 21:
        print("txm2sem: and more results that were made with other settings, which the plan names", file=sys.stderr)


COMPARED = []  # every rule whose jobs leave records, with its params


def reported_results():
    """Results that the report compares with the settings that it states: all that it is made of but measures."""
    for here in FILES.values():
        yield from [f"{here.folder}/registered/index.csv", f"{here.store()}/store.json"]
        yield from here.models(RUNS.single + RUNS.side_tasks, "model.json")
        yield from [here.patches(run.folder) for run in RUNS.single + RUNS.side_tasks]
        yield from here.volumes(here.predicted)


@cache
def expected_records():
    """What the records of these must say, as one canonical string; by the configuration and the raw data alone."""
    records = {}
    for file in reported_results():
        own, params = next((own, params) for own, params in COMPARED if own.is_producer(file))
        wildcards = Wildcards(fromdict=own.get_wildcards(file))
        with report_user_errors():
            values = values_of(params, wildcards)
        records[record_of(str(own.output[0].apply_wildcards(wildcards)), RESULTS)] = values
    return expected_text(records, RESULTS)


def keep_records(own):
    """Have the jobs of a rule leave their records, and the plan look at them."""
    params = compared_params(own)
    COMPARED.append((own, params))
    own.set_params(
        made_with=lambda wildcards, output: record_text(values_of(params, wildcards), RESULTS),
        record=lambda wildcards, output: record_of(output[0], RESULTS),
    )
    own.set_input(records=lambda wildcards: made_again(own, params, wildcards))


for each in workflow.rules:
    # as a module that another workflow uses twice, this is read twice
    if each.shellcmd and KEEP_RECORD in each.shellcmd and "record" not in dict(each.params.items()):
        keep_records(each)
