# How far a run is, from Snakemake's own events: a line a stage when it changes, and a journal for `txm2sem progress`.
import sys

from snakemake.logging import logger
from snakemake.settings.enums import Quietness

from txm2sem_core.commands.run_events import Plan, RunEvents
from txm2sem_core.commands.run_state import FOREIGN
from txm2sem_core.costs.forecast import PlannedJob, expects_gpu, least_speed_seconds, likeness, own_name, stage_of

FOREIGN_SECONDS = 60  # of a job of the user's own rules, until one of them is done


def plan_to_run():
    """The jobs that will run and make something, as the journal keeps them; None where nothing will."""
    if workflow.dryrun or workflow.touch:
        return None
    jobs = {job.jobid: job for job in workflow.dag.needrun_jobs() if job.output}
    planned = [planned_job(job) for job in jobs.values()]
    return Plan(planned, not workflow.local_exec, lambda number: workflow.dag.finished(jobs[number]))


def planned_job(job):
    """One of them, with its forecast."""
    wildcards = job.wildcards_dict
    of_job = {"id": job.jobid, "rule": job.rule.name, "log": next(map(str, job.log), "")}
    of_job |= {"wildcards": ", ".join(f"{name}={value}" for name, value in wildcards.items())}
    if not Path(job.rule.snakefile).is_relative_to(ROOT / "workflow"):
        # not asked for threads and resources, which may depend on files that are not there yet
        return of_job | {"stage": FOREIGN, "like": job.rule.name, "seconds": FOREIGN_SECONDS, "share": share_of(1, 0)}
    own, share = own_name(job.rule.name), share_of(job.threads, job.resources.get("gpu", 0))
    on_gpu = expects_gpu(CONFIG.device, submitted=not workflow.local_exec)
    seconds = least_speed_seconds(PlannedJob(own, wildcards, job.threads), RESERVATIONS, on_gpu=on_gpu)
    return of_job | {"stage": stage_of(own), "like": likeness(own), "seconds": round(seconds, 1), "share": share}


def share_of(threads, gpus):
    """What a job takes of all that may run at a time; 0 where nothing bounds it."""
    if not workflow.local_exec:
        return 0 if workflow.nodes in (None, sys.maxsize) else 1 / workflow.nodes
    bound = workflow.global_resources.get("gpu").value
    return round(max(threads / workflow.cores, gpus / bound if bound else 0), 3)


# as a module that another workflow uses twice, this is read twice
if workflow.is_main_process and not any(isinstance(handler, RunEvents) for handler in logger.handlers):
    quiet = {Quietness.ALL, Quietness.PROGRESS} & set(workflow.output_settings.quiet or ())
    logger.addHandler(RunEvents(Path(".snakemake"), plan_to_run, silent=bool(quiet)))
