"""How far a run is, by events as Snakemake sends them; `tests/workflow` looks at real runs, broken ones too."""

from __future__ import annotations

import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from time_left import replayed
from typer.testing import CliRunner

from txm2sem_core.cli import app
from txm2sem_core.commands import progress
from txm2sem_core.commands.run_events import Plan, RunEvents
from txm2sem_core.commands.run_lines import ChangedLines, duration, table
from txm2sem_core.commands.run_state import JOURNAL, RunState, read_state
from txm2sem_core.errors import InputError
from txm2sem_core.io.lock_marks import boot, started

STAGE_OF = {"make_phantom": "phantom", "train_model": "train", "predict_volume": "predict", "make_tea": "other rules"}
LIKE = {"train_model": "train", "predict_volume": "predict"}
THIS = [boot(), os.getpid(), started(os.getpid())]


def job(number: int, rule: str, seconds: float = 10.0, share: float = 1.0, log: str = "") -> dict[str, Any]:
    kind = {"stage": STAGE_OF[rule], "like": LIKE.get(rule, rule), "wildcards": f"sample={number}"}
    return {"id": number, "rule": rule, "seconds": seconds, "share": share, "log": log, **kind}


def state_of(jobs: list[dict[str, Any]], *events: tuple[float, str, int], cluster: bool = False) -> RunState:
    """A run that began at second 1000."""
    state = RunState()
    state.apply({"time": 1000.0, "host": "here", "process": THIS, "cluster": cluster})
    for each in [*jobs, *({"time": 1000.0 + when, "state": what, "job": number} for when, what, number in events)]:
        state.apply(each)
    return state


def test_what_is_left_is_in_proportion_to_what_such_jobs_took() -> None:
    jobs = [job(1, "train_model", 10), job(2, "train_model", 30), job(3, "make_tea", 5)]
    state = state_of(jobs)
    assert (state.expected(1000).seconds, state.expected(1000).measured) == (45, False)
    state = state_of(jobs, (0, "running", 1), (40, "done", 1))  # four times as long as forecast
    assert (state.expected(1040).seconds, state.expected(1040).measured) == (4 * 30 + 5, True)
    assert state.expected(1040, "other rules").seconds == 5
    state = state_of(jobs, (0, "running", 1), (40, "done", 1), (40, "running", 2))
    assert state.expected(1060).seconds == 4 * 30 - 20 + 5
    assert state.expected(9999).seconds == 5  # it takes longer than that: nothing is known


def test_other_kinds_tell_the_speed_of_the_machine_but_not_of_networks() -> None:
    jobs = [job(1, "make_tea", 10), job(2, "make_phantom", 10), job(3, "train_model", 10)]
    state = state_of(jobs, (0, "running", 1), (20, "done", 1))
    assert state.expected(1020, "phantom").seconds == 20
    assert state.expected(1020, "train").seconds == 10


def test_as_many_jobs_run_at_a_time_as_fit_and_none_takes_less_than_itself() -> None:
    jobs = [job(number, "train_model", 10, 0.25) for number in range(8)]
    assert state_of(jobs).expected(1000).seconds == 20
    assert state_of([*jobs, job(8, "train_model", 50, 0.25)]).expected(1000).seconds == 50
    on_cluster = [{**each, "share": 0} for each in jobs]
    assert state_of([*on_cluster, job(9, "make_tea", 3, 0)]).expected(1000).seconds == 13


def test_a_running_job_that_says_how_far_it_is_tells_of_its_like(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    text = "train a: 0/50 epochs, 00:00 done, ? left\rtrain a: 10/50 epochs, 1:00:00 done, 04:00:00 left, a=1\n-\n"
    log.write_text(text)
    os.utime(log, (4500, 4500))
    jobs = [job(1, "train_model", 100, log=str(log)), job(2, "train_model", 200)]
    state = state_of(jobs, (0, "running", 1))
    now = 4600.0  # an hour after it began, and 100 s after it said so
    left = 4 * 3600 - 100
    assert state.expected(now).seconds == pytest.approx(left + 2 * (3600 + left))
    assert "  train_model sample=1: 1 h 0 min so far, 10/50 epochs, 3 h 58 min left" in table(state, now)
    os.utime(log, (900, 900))  # of an earlier attempt
    assert state.expected(1010).seconds == 290


def test_durations() -> None:
    shown = [duration(seconds) for seconds in (0, 59.4, 59.6, 3569, 3571, 19200, 172_799, 267_840)]
    assert shown == ["0 s", "59 s", "1 min", "59 min", "1 h 0 min", "5 h 20 min", "2.0 days", "3.1 days"]


EVENTS = st.lists(st.tuples(st.floats(0, 1e6), st.sampled_from(["running", "done", "failed"]), st.integers(0, 5)))


@given(EVENTS)
def test_no_job_is_lost_or_counted_twice_and_no_time_is_negative(events: list[tuple[float, str, int]]) -> None:
    jobs = [job(number, rule) for number, rule in enumerate(STAGE_OF)]
    state = state_of(jobs, *events)
    counts = state.counts()
    assert {stage: sum(of_stage.values()) for stage, of_stage in counts.items()} == dict.fromkeys(STAGE_OF.values(), 1)
    assert all(state.expected(1000 + when).seconds >= 0 for when in (0, 1e6))


def test_a_stage_is_said_when_it_begins_ends_or_fails_else_once_a_minute() -> None:
    jobs = [job(number, "train_model") for number in range(5)] + [job(9, "predict_volume")]
    state, lines = state_of(jobs), ChangedLines()

    def said(when: float, what: str, number: int) -> list[str]:
        state.apply({"time": 1000 + when, "state": what, "job": number})
        return [line.removeprefix("progress: ").partition(";")[0] for line in lines.due(state, 1000 + when)]

    assert lines.due(state, 1000) == []
    assert said(0, "running", 0) == ["train: 0 of 5 done, 1 running, 4 left"]
    assert said(10, "done", 0) + said(10, "running", 1) + said(20, "done", 1) == []
    assert said(70, "running", 2) == ["train: 2 of 5 done, 1 running, 2 left"]
    assert said(71, "failed", 2) == ["train: 2 of 5 done, 2 left, 1 failed"]
    assert said(72, "running", 3) + said(73, "running", 4) + said(74, "done", 3) == []
    assert said(75, "done", 4) == ["train: 4 of 5 done, 1 failed"]
    assert said(76, "running", 9) == ["predict: 0 of 1 done, 1 running"]
    on_cluster = state_of(jobs, (0, "running", 0), cluster=True)
    assert ChangedLines().due(on_cluster, 1000)[0].startswith("progress: train: 0 of 5 done, 1 submitted, 4 left; ")


def test_a_journal_is_replayed_at_tenths_of_its_run() -> None:
    first = {"time": 1000.0, "host": "here", "process": THIS, "cluster": False}
    events: list[dict[str, Any]] = [first, *(job(number, "train_model", 5, log="a.log") for number in range(20))]
    for number in range(20):
        events += [
            {"time": 1000.0 + 10 * (number + end), "state": state, "job": number}
            for end, state in enumerate(("running", "done"))
        ]
    events.append({"time": 1200.0, "state": "ended"})
    found = list(replayed(map(json.dumps, events)))
    assert found[0] == (200, 100, False)
    assert [left for left, _, _ in found[1:]] == [180, 160, 140, 120, 100, 80, 60, 40, 20, 0]
    assert all(seconds == left and (measured or not left) for left, seconds, measured in found[1:])


# --- events to journal


def record(event: str, **more: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", logging.INFO, "", 0, "", (), None)
    made.__dict__.update(event=event, **more)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / ".snakemake").mkdir()
    return tmp_path


DONE: set[int] = set()  # by Snakemake's plan, though it sent no event


def handler(folder: Path, jobs: Any = None, *, silent: bool = True) -> RunEvents:
    planned = [job(1, "make_phantom"), job(2, "train_model", log="a.log")] if jobs is None else jobs
    return RunEvents(folder / ".snakemake", lambda: Plan(planned, False, DONE.__contains__), silent=silent)


def test_the_journal_says_what_the_events_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = handler(folder, silent=False)
    events.handle(record("job_finished", job_id=1))  # before there is a plan
    events.handle(record("run_info", stats={}))
    events.handle(record("job_info", jobid=1))
    events.handle(record("job_info", jobid=77))  # what makes nothing, as `all`
    events.handle(record("progress", done=1, total=2))
    events.handle(record("job_finished", job_id=1))
    events.handle(record("job_error", jobid=2))
    state = read_state(folder)
    assert [each.state for each in state.jobs.values()] == ["done", "failed"]
    assert state.alive() is True
    (folder / "a.log").write_text("one\ntxm2sem: error: no GPU\nanother\n")
    text = "\n".join(table(state, time.time()))
    assert "failed:\n  train_model sample=2: no GPU\n    log:" in text
    events.close()
    ended = read_state(folder)
    assert ended.alive() is False
    assert "1 job not made. The same command goes on." in next(iter(table(ended, time.time())))
    said = capsys.readouterr().err.splitlines()
    assert [line.split(";")[0] for line in said] == [
        "progress: phantom: 0 of 1 done, 1 running",
        "progress: phantom: 1 of 1 done",
        "progress: train: 0 of 1 done, 1 failed",
    ]


def test_a_quiet_snakemake_does_not_say_what_is_done_and_is_asked(folder: Path) -> None:
    events = handler(folder)
    events.handle(record("run_info"))
    events.handle(record("job_info", jobid=1))
    DONE.add(1)
    try:
        assert read_state(folder).jobs[1].state == "running"
        events.handle(record("job_info", jobid=2))
        assert [each.state for each in read_state(folder).jobs.values()] == ["done", "running"]
        DONE.add(2)
        events.close()
    finally:
        DONE.clear()
    state = read_state(folder)
    assert [each.state for each in state.jobs.values()] == ["done", "done"]
    assert state.ended > 0


def test_what_will_not_run_leaves_the_journal_of_the_last_run(folder: Path) -> None:
    handler(folder).handle(record("run_info"))
    before = (folder / ".snakemake" / JOURNAL).read_bytes()
    dry = RunEvents(folder / ".snakemake", lambda: None, silent=False)
    for event in (record("run_info"), record("job_info", jobid=1), record("run_info")):
        dry.handle(event)
    dry.close()
    assert (folder / ".snakemake" / JOURNAL).read_bytes() == before


def test_a_next_run_takes_the_place_of_the_last(folder: Path) -> None:
    for jobs in ([job(1, "make_phantom"), job(2, "make_tea")], [job(1, "train_model")]):
        events = handler(folder, jobs)
        events.handle(record("run_info"))
        events.close()
    assert [each.rule for each in read_state(folder).jobs.values()] == ["train_model"]


def test_a_run_goes_on_where_its_progress_cannot_be_kept(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / ".snakemake" / JOURNAL).mkdir()
    events = handler(folder, silent=False)
    for _ in range(2):
        events.handle(record("run_info"))
        events.handle(record("job_info", jobid=1))
    events.close()
    assert capsys.readouterr().err.count("the progress of this run is not shown any more") == 1


def test_nothing_is_written_where_a_link_leads(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (folder / ".snakemake").rmdir()
    (folder / ".snakemake").symlink_to(elsewhere)
    events = handler(folder)
    events.handle(record("run_info"))
    events.close()
    assert list(elsewhere.iterdir()) == []


def test_no_link_that_stands_in_its_place_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (folder / ".snakemake" / JOURNAL).symlink_to(tmp_path / "mine.txt")
    events = handler(folder)
    events.handle(record("run_info"))
    events.close()
    assert (tmp_path / "mine.txt").read_text() == "mine"


# --- the command


def invoke(folder: Path, *more: str) -> str:
    done = CliRunner().invoke(app, ["progress", "--folder", str(folder), *more])
    assert done.exit_code == 0, done.output
    return done.stdout


def journal(folder: Path, process: list[Any], *events: dict[str, Any], cluster: bool = False) -> None:
    first = {"time": 1000.0, "host": "node7", "process": process, "cluster": cluster}
    lines = [first, job(1, "make_phantom"), job(2, "train_model"), *events]
    (folder / ".snakemake" / JOURNAL).write_text("".join(f"{json.dumps(line)}\n" for line in lines))


RUNNING = ({"time": 1001.0, "state": "running", "job": 1},)


def test_a_killed_run_is_called_so_whatever_its_last_line(folder: Path) -> None:
    journal(folder, [boot(), os.getpid(), "1"], *RUNNING)  # a later process has its number
    with (folder / ".snakemake" / JOURNAL).open("a") as file:
        file.write('{"time": 1002, "sta')
    text = invoke(folder)
    assert "on node7: killed, 2 jobs not made. The same command goes on." in text
    assert [line.split() for line in text.splitlines() if line.startswith("all")] == [["all", "0", "0", "2"]]
    assert "running:" not in text
    journal(folder, [boot(), os.getpid(), "1"], *RUNNING, cluster=True)
    assert "Cancel first what is still in the queue." in invoke(folder)


def test_of_another_machine_it_says_when_it_was_last_heard_of(folder: Path) -> None:
    journal(folder, ["another", 1, "1"], *RUNNING, cluster=True)
    text = invoke(folder)
    assert "on node7: last heard of" in text
    assert "submitted:\n  make_phantom sample=1: " in text


def test_watching_ends_with_the_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal(folder, THIS, *RUNNING)
    naps = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        with (folder / ".snakemake" / JOURNAL).open("a") as file:
            for event in ({"state": "done", "job": 1}, {"state": "ended"}):
                file.write(json.dumps({"time": 1010.0, **event}) + "\n")

    monkeypatch.setattr(progress.time, "sleep", nap)
    text = invoke(folder, "--watch")
    assert len(naps) == 1
    assert text.startswith("progress: phantom: 0 of 1 done, 1 running; ")
    assert "ended after 10 s, 1 job not made" in text
    assert "\x1b" not in text
    assert "\r" not in text


@pytest.mark.parametrize("text", ["", "{}\n", "[]\n", "no JSON\n", '{"id": 1}\n', "\x00\n"])
def test_a_journal_that_is_none_is_named(folder: Path, text: str) -> None:
    (folder / ".snakemake" / JOURNAL).write_text(text)
    with pytest.raises(InputError, match=JOURNAL):
        read_state(folder)


def test_where_no_run_began_it_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no run has begun here. Give by --folder"):
        read_state(tmp_path)
