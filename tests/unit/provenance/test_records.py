"""Records of what results were made with: what is a change, and what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.config import load_config
from txm2sem_core.provenance.records import changes, record_of, record_text

VALUES = st.dictionaries(st.sampled_from(["settings", "sample", "raw_digest", "volume"]), st.text(max_size=30))


def kept(folder: Path, values: dict[str, str], results: str = "results") -> Path:
    record = folder / "record.json"
    record.write_text(record_text(values, results), encoding="utf-8")
    return record


@given(before=VALUES, now=VALUES)
def test_a_change_is_reported_exactly_where_a_common_name_has_another_value(
    tmp_path_factory: pytest.TempPathFactory, before: dict[str, str], now: dict[str, str]
) -> None:
    record = kept(tmp_path_factory.mktemp("records"), before)
    assert bool(changes(record, now, "results")) == any(
        before[name] != now[name] for name in before.keys() & now.keys()
    )


def test_changed_settings_are_named_with_both_values(tmp_path: Path) -> None:
    before = {"settings": json.dumps({"schedule": {"epochs": 1, "policy": "linear"}, "flips": True})}
    now = {"settings": json.dumps({"schedule": {"epochs": 2, "policy": "linear"}, "flips": True})}
    assert changes(kept(tmp_path, before), now, "results") == "schedule.epochs 1, now 2"


def test_long_values_are_compared_too(tmp_path: Path) -> None:
    record = kept(tmp_path, {"samples": "a" * 10**5})
    assert record.stat().st_size < 200
    assert changes(record, {"samples": "a" * 10**5}, "results") == ""
    assert changes(record, {"samples": "a" * 10**5 + "b"}, "results")


def test_a_moved_results_folder_is_no_change(tmp_path: Path) -> None:
    record = kept(tmp_path, {"volume": "results/a/raw/volume"})
    assert changes(record, {"volume": "/elsewhere/a/raw/volume"}, "/elsewhere") == ""


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null"])
def test_without_a_readable_record_nothing_is_reported(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "record.json").write_text(text)
    assert changes(tmp_path / "record.json", {"settings": "{}"}, "results") == ""


def test_records_lie_with_their_sample_each_job_its_own() -> None:
    outputs = ["r/a/patches/store.safetensors", "r/a/patches/store.json", "r/b/patches/store.json", "r/report.html"]
    records = [record_of(output, "r") for output in outputs]
    assert records[1] == "r/a/.settings/patches/store.json.json"
    assert records[3] == "r/.settings/report.html.json"
    assert len(set(records)) == len(outputs)


@pytest.mark.parametrize("written", ["./results", "results/", "results//", "././results/.", "{cwd}/results"])
def test_results_have_one_name_however_it_is_written(written: str) -> None:
    values = {"variants": {"a": {"family": "baseline", "generator": {"name": "pointwise"}}}}
    config = load_config({**values, "results_dir": written.format(cwd=Path.cwd())})
    assert config.results_dir == "results"
    assert load_config({**values, "results_dir": "a/../results"}).results_dir == "a/../results"
