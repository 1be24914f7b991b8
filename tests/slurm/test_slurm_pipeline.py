"""The whole pipeline on a real SLURM against the same pipeline on this machine.

Jobs are cancelled, lost and pushed out there, and end for want of time and of memory.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cluster import Cluster, run, wait_until
from cluster_run import TRAINED, PipelineRun, Training, identity

LONGEST_S = 1500  # what the cluster's run may take before it counts as hanging
ON_GPU = ("train_model", "predict_test", "predict_slab")
# the slabs ask for their GPU by --gres, and at first for less memory than they take with their Snakemake
SCARCE = '{slurm_partition: gpu, gres: "gpu:1", gpu: 0, mem_mb: attempt * 300}'
FIELDS = ("JobIDRaw", "Comment", "State", "Partition", "NodeList", "ReqMem", "TimelimitRaw", "ReqTRES", "Elapsed")


@dataclass
class Story:
    """What happened."""

    cluster_run: PipelineRun
    local_run: PipelineRun
    workflow: subprocess.Popen[bytes] | None = None
    returncode: int | None = None
    trainings: dict[str, list[Training]] = field(default_factory=lambda: {name: [] for name in TRAINED})
    jobs: list[dict[str, str]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def tell(self, event: str) -> None:
        """Say it at once: the run takes minutes."""
        print(f"[{time.monotonic() - self.began:5.0f} s] {event}", file=sys.stderr, flush=True)

    def rows(self, rule: str, variant: str = "") -> list[dict[str, str]]:
        """The runs of the jobs of a rule, in SLURM's accounting."""
        named = f"rule_{rule}_wildcards_tiny_{variant}" if variant else f"rule_{rule}"
        return [job for job in self.jobs if job["Comment"].startswith(named)]

    def seen_in_the_middle(self, variant: str) -> Training:
        """Wait for a training's next run to have saved its state, and note what it was given."""
        earlier = self.trainings[variant]
        assert self.workflow is not None
        found = self.cluster_run.in_the_middle(variant, self.workflow, identity(earlier[-1]) if earlier else "")
        earlier.append(found)
        self.tell(f"{variant} trains in job {found.job} on {found.node}, CUDA_VISIBLE_DEVICES={found.gpus}")
        return found


def put_in_the_faults(story: Story, cluster: Cluster) -> None:
    """Both trainings lose their node, a more urgent job pushes both out, one is cancelled, the other's time is up."""
    story.tell("g1 loses its power")
    cluster.node_dies("g1")
    cluster.node_returns("g1")
    story.tell("g1 is back")
    both_train(story)
    story.tell("an urgent job wants both GPUs for three seconds")
    run("sbatch", "-p", "urgent", "--gpus=2", "--job-name=urgent", "--output=/dev/null", "--wrap", "sleep 3")
    first, second = both_train(story)
    story.tell(f"scancel {first.job}, and job {second.job} has no time left")
    run("scancel", first.job)
    run("scontrol", "update", f"jobid={second.job}", "endtime=now+5")


def both_train(story: Story) -> list[Training]:
    """Wait until both trainings are in the middle, and hold each there, so that none ends before the next fault.

    SLURM wakes what it ends: it sends SIGCONT along with SIGTERM.
    """
    both = []
    for variant in TRAINED:
        both.append(story.seen_in_the_middle(variant))
        both[-1].process.suspend()
    return both


@pytest.fixture(scope="module")
def story(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The run on the cluster with its faults, beside the same trainings on this machine."""
    folder = tmp_path_factory.mktemp("runs")
    story = Story(PipelineRun(folder / "cluster"), PipelineRun(folder / "local"))
    profile = story.cluster_run.folder / "profiles/slurm/config.yaml"
    text = profile.read_text()
    for old, new in (("# slurm_account: lab", "slurm_account: lab"), ("predict_slab: *gpu", f"predict_slab: {SCARCE}")):
        assert old in text
        text = text.replace(old, new)
    profile.write_text(text)
    submit = ("--workflow-profile", "profiles/slurm", "--slurm-init-seconds-before-status-checks", "2")
    here = ("--cores", "2", "--resources", "gpu=2", "--", "volumes")
    with ExitStack() as stack:
        on_cluster = stack.enter_context(story.cluster_run.running(*submit, log="output.txt"))
        story.workflow = on_cluster
        try:
            both_train(story)
            story.local_run.take_over(story.cluster_run, "raw", "registered", "patches")
            locally = stack.enter_context(story.local_run.running(*here, log="output.txt"))
            put_in_the_faults(story, cluster)
            for process, where in ((on_cluster, "on the cluster"), (locally, "on this machine")):
                left = LONGEST_S - (time.monotonic() - story.began)
                wait_until(lambda process=process: process.poll() is not None, left, f"snakemake {where}")
                story.tell(f"snakemake {where} ended with {process.returncode}")
        finally:
            story.returncode = on_cluster.poll()
            output = (story.cluster_run.folder / "output.txt").read_text()
            if story.returncode != 0:
                print(output[-8000:], file=sys.stderr)
    assert locally.returncode == 0, (story.local_run.folder / "output.txt").read_text()[-4000:]
    # the last jobs come to the database a little later
    wait_until(lambda: not {"RUNNING", "PENDING"} & {job["State"] for job in cluster.accounting("State")}, 60, "sacct")
    story.jobs = cluster.accounting(*FIELDS)
    show(story.jobs)
    return story


def show(jobs: list[dict[str, str]]) -> None:
    """SLURM's accounting as a table."""
    widths = {name: max(len(name), *(len(job[name]) for job in jobs)) for name in FIELDS}
    for row in ({name: name for name in FIELDS}, *jobs):
        print("  ".join(row[name].ljust(width) for name, width in widths.items()).rstrip(), file=sys.stderr)


def test_the_pipeline_ends_with_every_result(story: Story) -> None:
    assert story.returncode == 0
    here = story.cluster_run.folder / "results"
    assert (here / "report.html").stat().st_size > 10_000
    for variant in TRAINED:
        assert (here / "tiny/volumes" / variant / "seed0/sem.ome.zarr/zarr.json").is_file()


def test_the_weights_are_those_of_a_run_on_this_machine_without_faults(story: Story) -> None:
    for variant in TRAINED:
        assert story.cluster_run.model_bytes(variant) == story.local_run.model_bytes(variant)


def test_volumes_that_slabs_made_there_are_those_made_here(story: Story) -> None:
    for variant in TRAINED:
        there = story.cluster_run.volume_bytes(variant)
        assert {"0/c/0/0/0", "0/c/1/0/0"} <= there.keys()  # what each slab wrote
        assert there == story.local_run.volume_bytes(variant)


def test_slabs_that_wanted_memory_came_back_with_more(story: Story) -> None:
    """SLURM 22.05 calls them FAILED, and the reason stands in the job's own log."""
    rows = story.rows("predict_slab")
    slabs = {row["Comment"] for row in rows}
    assert len(slabs) == 4  # two of each variant
    for slab in slabs:
        *lost, ended = (row for row in rows if row["Comment"] == slab)
        assert lost
        assert {row["State"] for row in lost} <= {"FAILED", "OUT_OF_MEMORY"}
        assert ended["State"] == "COMPLETED"
        assert [row["ReqMem"] for row in (*lost, ended)] == [f"{300 * (i + 1)}M" for i in range(len(lost) + 1)]
    logs = story.cluster_run.folder.glob(".snakemake/slurm_logs/rule_predict_slab/*/*.log")
    assert sum("exceeded memory limit" in log.read_text() for log in logs) == len(rows) - len(slabs)


def test_trainings_went_on_from_what_they_saved_when_they_were_asked_to_end(story: Story) -> None:
    """States are written after epochs here; one within an epoch is written only on SIGTERM."""
    for variant in TRAINED:
        log = story.cluster_run.folder / f"results/logs/tiny/train_model/{variant}_seed0.log"
        assert re.search(r"goes on after epoch \d+, step \d+\.", log.read_text())


def test_training_and_prediction_got_a_gpu_and_the_rest_none(story: Story) -> None:
    for rule in ON_GPU:
        rows = story.rows(rule)
        assert rows
        assert {row["Partition"] for row in rows} == {"gpu"}
        assert all("gres/gpu=1" in row["ReqTRES"].split(",") for row in rows)
    others = [job for job in story.jobs if job not in [row for rule in ON_GPU for row in story.rows(rule)]]
    closing = story.rows("predict_volume")  # beside the slabs, which had the GPUs
    assert {row["Partition"] for row in closing} == {"gpu"}
    others = [job for job in others if job["Partition"] != "urgent" and job not in closing]
    # preparation; volume, rock and consistency of each variant, the true rock and its consistency, patches; report
    assert len(others) == 11
    assert {job["Partition"] for job in others} == {"cpu"}
    assert {job["NodeList"] for job in others} <= {"c1", "c2"}
    assert not any("gpu" in job["ReqTRES"] for job in others + closing)


def test_trainings_side_by_side_see_different_gpus(story: Story) -> None:
    for runs in story.trainings.values():
        assert {training.node for training in runs} == {"g1"}
    first, second = (story.trainings[variant][0] for variant in TRAINED)
    assert {first.gpus, second.gpus} == {"0", "1"}


@pytest.mark.parametrize(("variant", "state"), list(zip(TRAINED, ("CANCELLED", "TIMEOUT"), strict=True)))
def test_a_job_that_was_ended_comes_back_with_twice_the_memory_and_time(story: Story, variant: str, state: str) -> None:
    rows = story.rows("train_model", variant)
    (ended,) = (row for row in rows if row["State"].startswith(state))
    assert ended["JobIDRaw"] == story.trainings[variant][0].job
    (last,) = (row for row in rows if row["State"] == "COMPLETED")
    assert last["JobIDRaw"] != ended["JobIDRaw"]
    assert int(last["ReqMem"].rstrip("M")) == 2 * int(ended["ReqMem"].rstrip("M")) > 2000
    assert int(last["TimelimitRaw"]) == 2 * int(rows[0]["TimelimitRaw"]) >= 60


def test_what_lost_its_node_or_was_pushed_out_goes_on_under_its_number_and_what_was_ended_under_another(
    story: Story,
) -> None:
    for variant, state in zip(TRAINED, ("CANCELLED", "TIMEOUT"), strict=True):
        rows = story.rows("train_model", variant)
        assert [row["State"].split()[0] for row in rows] == ["NODE_FAIL", "PREEMPTED", state, "COMPLETED"]
        numbers = [row["JobIDRaw"] for row in rows]
        assert len(set(numbers[:3])) == 1
        assert len(set(numbers)) == 2


def test_nothing_of_the_cluster_is_left_in_the_environment(story: Story, cluster: Cluster) -> None:
    assert Path(os.environ["SLURM_CONF"]).is_relative_to(cluster.folder)
