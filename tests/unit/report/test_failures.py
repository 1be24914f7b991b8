"""Which jobs of a run failed, why, and how to go on without their variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from txm2sem_core.config import load_config
from txm2sem_core.errors import ConfigError
from txm2sem_core.report.failures import Failure, failure_message, failures


def test_of_jobs_that_failed_together_those_with_a_message_count(tmp_path: Path) -> None:
    def job(name: str, text: str | None) -> Failure:
        if text is not None:
            (tmp_path / name).write_text(text)
        return Failure(name, tmp_path / name)

    done, failed, killed, never = (
        job("a", "all is well\n"),
        job("b", "txm2sem: error: no\n"),
        job("c", "half a li"),
        job("d", None),
    )
    assert failures([[done, failed, never]]) == [failed]
    assert failures([[killed, never]]) == [killed]
    assert failures([[never]]) == [never]
    assert failures([[killed], [failed]]) == [failed, killed]


@pytest.mark.parametrize(("there", "made", "said"), [(False, True, True), (False, False, False), (True, True, False)])
def test_a_result_that_was_removed_is_named_with_what_makes_it_again(
    tmp_path: Path, there: bool, made: bool, said: bool
) -> None:
    lacking = tmp_path / "pairs" / "000.tif"
    if there:
        lacking.parent.mkdir()
        lacking.touch()
    (tmp_path / "log").write_text(f"txm2sem: error: {lacking}: there is no such file. Check the path.\n")
    text = failure_message([Failure("cut", tmp_path / "log")], [], lambda path: str(path.parent) if made else None)
    assert (f"--forcerun {lacking.parent}" in text) == said


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


def test_the_message_names_the_jobs_and_how_to_continue(tmp_path: Path) -> None:
    (tmp_path / "net_seed0.log").write_text("txm2sem: error: a loss is not finite.\n")
    failed = [Failure("train_model", tmp_path / "net_seed0.log")]
    text = failure_message(failed, ["net", "net_z", "gan"])
    assert text.splitlines() == [
        "txm2sem: 1 job failed; what did not depend on it was made:",
        "  train_model: a loss is not finite.",
        f"    log: {tmp_path / 'net_seed0.log'}",
        "txm2sem: for tables, figures and the report of the other variants add to the same command: "
        "--config 'leave_out=[net]'",
    ]
    assert "leave_out" not in failure_message(failed, ["net"])  # nothing would be left
    assert "leave_out" not in failure_message(
        [Failure("make_phantom", Path("logs/rock/make_phantom.log"))], ["net", "gan"]
    )


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


def test_the_report_says_what_was_left_out_and_why(tmp_path: Path) -> None:
    from txm2sem_core.report.gather import SampleResults, _left_out

    log = tmp_path / "logs" / "rock" / "train_model" / "net_seed1.log"
    log.parent.mkdir(parents=True)
    log.write_text("txm2sem: error: a loss is not finite.\n")
    sample = SampleResults("rock", "phantom", tmp_path / "rock", [], [], None, None, [], left_out=["net", "net_z"])
    assert _left_out(sample) == [
        "The variant net is left out (leave_out), and stands in no table or figure. Its training failed: a loss is not "
        "finite.",
        "The variant net_z is left out (leave_out), and stands in no table or figure.",
    ]
