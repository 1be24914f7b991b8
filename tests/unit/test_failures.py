"""Which jobs of a run failed, why, and how to go on without their variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from txm2sem_core.config import load_config
from txm2sem_core.errors import ConfigError
from txm2sem_core.failures import Failure, failures, told

LOG = """\
[Fri Nov 27 12:00:00 2026]
Error in rule train_model:
    message: None
    jobid: 7
    input: results/rock/patches/store.json
    output: results/rock/models/net/seed0/model.json
    log: results/logs/rock/train_model/net_seed0.log (check log file(s) for error details)
    shell:
        python -m txm2sem_core train
        (command exited with non-zero exit code)
Trying to restart job 7.
[Fri Nov 27 12:01:00 2026]
Error in rule train_model:
    jobid: 8
    log: results/logs/rock/train_model/other_seed1.log (check log file(s) for error details)
Finished jobid: 8 (Rule: train_model)
Error in group 5:
    jobs:
        rule measure_patches:
            jobid: 9
            output: results/rock/metrics/net/seed0/patches.csv
            log: results/logs/rock/measure_patches/net_seed0.log (check log file(s) for error details)
        rule draw_sections:
            jobid: 11
            log: results/logs/rock/draw_sections/gan.log (check log file(s) for error details)
"""


def test_failed_jobs_are_those_that_did_not_succeed_when_tried_again() -> None:
    found = [(each.rule, each.log.name) for each in failures(LOG)]
    assert found == [
        ("train_model", "net_seed0.log"),
        ("measure_patches", "net_seed0.log"),
        ("draw_sections", "gan.log"),
    ]
    assert failures("Finished jobid: 3\n100 of 100 steps (100%) done\n") == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("epoch 1\rtxm2sem: error: a loss is not finite.\nsomething after it\n", "a loss is not finite."),
        ("Traceback (most recent call last):\n  x\nKeyError: 'a'\n\n", "KeyError: 'a'"),
        ("", "it left no message"),
        (None, "it left no message"),
    ],
)
def test_the_reason_is_our_message_or_the_last_line(tmp_path: Path, text: str | None, reason: str) -> None:
    if text is not None:
        (tmp_path / "a.log").write_text(text)
    assert Failure("train_model", tmp_path / "a.log").reason() == reason


def test_what_is_told(tmp_path: Path) -> None:
    (tmp_path / "net_seed0.log").write_text("txm2sem: error: a loss is not finite.\n")
    failed = [Failure("train_model", tmp_path / "net_seed0.log")]
    text = told(failed, ["net", "net_z", "gan"])
    assert text.splitlines() == [
        "txm2sem: 1 job failed; what did not depend on it was made:",
        "  train_model: a loss is not finite.",
        f"    log: {tmp_path / 'net_seed0.log'}",
        "txm2sem: for tables, figures and the report of the other variants add to the same command: "
        "--config 'leave_out=[net]'",
    ]
    assert "leave_out" not in told(failed, ["net"])  # nothing would be left
    assert "leave_out" not in told([Failure("make_phantom", Path("logs/rock/make_phantom.log"))], ["net", "gan"])


VARIANTS = {
    "net": {"family": "feedforward"},
    "wide": {"family": "feedforward", "context": 3},
    "pointwise": {"family": "baseline", "generator": {"name": "pointwise"}},
}


def test_a_run_without_a_variant_keeps_the_patches_of_all() -> None:
    whole, without = (load_config({"variants": VARIANTS, "leave_out": names}) for names in ([], ["wide"]))
    assert (list(without.variants), list(whole.variants)) == (["net", "pointwise"], list(VARIANTS))
    assert without.patches == whole.patches  # else all would be trained again
    assert without.variant("net") == whole.variant("net")


@pytest.mark.parametrize(
    ("names", "words"),
    [(["nett"], "leave_out: there is no variant 'nett'. Did you mean 'net'"), (list(VARIANTS), "no variant is left")],
)
def test_what_cannot_be_left_out(names: list[str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config({"variants": VARIANTS, "leave_out": names})
