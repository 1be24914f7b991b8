"""The report says which results were made with other settings than it states, and which do not say with which."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from txm2sem_core.provenance.records import expected_text, read_expected, record_of, record_text
from txm2sem_core.report.stated import made_otherwise

RESULTS = "results"
MODELS = [f"{RESULTS}/rock/models/net/seed{seed}/generator.safetensors" for seed in range(3)]
SETTINGS = {"settings": json.dumps({"flips": True, "schedule": {"epochs": 3}}), "raw_digest": "a" * 64}
LONG = json.dumps({f"a_long_key_{number}": number for number in range(50)})


def expected(settings: dict[str, str] = SETTINGS) -> dict[str, dict[str, str]]:
    records = {record_of(model, RESULTS): settings for model in MODELS}
    return read_expected(expected_text(records, RESULTS))


def leave(folder: Path, number: int, **own: str) -> None:
    path = folder / Path(record_of(MODELS[number], RESULTS)).relative_to(RESULTS)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(record_text(SETTINGS | own, RESULTS))


def test_results_of_the_stated_settings_give_no_warning(tmp_path: Path) -> None:
    for number in range(3):
        leave(tmp_path, number)
    assert made_otherwise(tmp_path / "rock", expected()) == []


def test_results_of_other_settings_or_data_are_named_with_what_differs(tmp_path: Path) -> None:
    leave(tmp_path, 0)
    leave(tmp_path, 1, settings=json.dumps({"flips": True, "schedule": {"epochs": 2}}))
    leave(tmp_path, 2, raw_digest="b" * 64)
    settings, data = made_otherwise(tmp_path / "rock", expected())
    assert "(schedule.epochs 2, now 3): models/net/seed1/generator.safetensors." in settings
    assert "(the raw data): models/net/seed2/generator.safetensors." in data


def test_of_long_settings_only_that_they_differ_is_reported(tmp_path: Path) -> None:
    leave(tmp_path, 0, settings=LONG)
    leave(tmp_path, 1, settings=LONG)
    leave(tmp_path, 2, settings=LONG.replace("49", "48"))
    (warning,) = made_otherwise(tmp_path / "rock", expected({**SETTINGS, "settings": LONG}))
    assert "(settings): models/net/seed2/generator.safetensors." in warning


def test_what_is_expected_of_many_results_stays_short() -> None:
    records = {
        f"results/rock/.settings/models/variant_{variant}/seed{seed}/generator.safetensors.json": {
            "settings": LONG * 2 + str(variant),
            "patches": "results/rock/patches",
            "raw_digest": "a" * 64,
            "volume": "",
        }
        for variant in range(40)
        for seed in range(10)
    }
    assert len(expected_text(records, "results")) < 50_000


def test_results_without_a_record_are_named(tmp_path: Path) -> None:
    leave(tmp_path, 0)
    leave(tmp_path, 1)
    half = tmp_path / Path(record_of(MODELS[1], RESULTS)).relative_to(RESULTS)
    half.write_text(half.read_text()[:20])  # its job was killed
    (warning,) = made_otherwise(tmp_path / "rock", expected())
    assert "made: models/net/seed1/generator.safetensors, models/net/seed2/generator.safetensors." in warning


def test_results_of_another_sample_are_reported_there(tmp_path: Path) -> None:
    assert made_otherwise(tmp_path / "other", expected()) == []
    assert made_otherwise(tmp_path / "rock", {}) == []


def test_a_setting_that_only_one_version_knows_is_no_difference(tmp_path: Path) -> None:
    for number in range(3):
        leave(tmp_path, number, gone="1")
    assert made_otherwise(tmp_path / "rock", expected({**SETTINGS, "new": "1"})) == []


values = st.dictionaries(st.sampled_from("abc"), st.text(max_size=8))


@given(st.dictionaries(st.integers(0, 20), values), st.sampled_from(["results", "a/b", "x"]))
def test_what_is_expected_is_read_as_it_was_written_wherever_results_lie(
    given_values: dict[int, dict[str, str]], results: str
) -> None:
    records = {f"{results}/s/.settings/{number}.json": own for number, own in given_values.items()}
    text = expected_text(records, results)
    assert read_expected(text) == {
        f"s/.settings/{number}.json": {key: value.replace(f"{results}/", "<results>/") for key, value in own.items()}
        for number, own in given_values.items()
    }
    assert text == expected_text(dict(reversed(records.items())), results)  # one string, whatever the order
