"""Models that trainings start from are looked at before the first job: are they there, fitting, and in time?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from saved_models import saved

from txm2sem_core.config import load_config
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.samples.starts import Place, check_starts, place_in_run, weights_digest

NETWORK = {"name": "resnet_1blocks", "width": 2}
PLAIN = {"family": "feedforward", "generator": NETWORK}
SAMPLES = ("rock", "phantom")


def check(**variants: dict[str, Any]) -> None:
    check_starts(load_config({"variants": variants, "train": {"context": 0}, "seeds": [0, 1]}), SAMPLES)


def test_a_model_that_fits_is_fine(tmp_path: Path) -> None:
    check(a={**PLAIN, "init_from": str(saved(tmp_path / "m")), "freeze": ["blocks.0"]})


def test_a_model_of_the_same_run_need_not_be_there_yet() -> None:
    check(plain=PLAIN, a={**PLAIN, "init_from": "results/phantom/models/plain/seed1"})
    check(plain=PLAIN, a={**PLAIN, "init_from": "./results/phantom/models/plain/seed1/"})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing there": ({"a": {**PLAIN, "init_from": "models/m"}}, "variants.a.init_from: models/m: there is no such"),
    "a seed that is not trained": (
        {"plain": PLAIN, "a": {**PLAIN, "init_from": "results/phantom/models/plain/seed7"}},
        "variants.a.init_from: results/phantom/models/plain/seed7: there is no such model",
    ),
    "itself": (
        {"a": {**PLAIN, "init_from": "results/phantom/models/a/seed0"}},
        "variants.a.init_from: .* would never be made, since a starts from a, in every sample. Name a model",
    ),
    "a circle": (
        {
            "a": {**PLAIN, "init_from": "results/phantom/models/b/seed0"},
            "b": {**PLAIN, "init_from": "results/phantom/models/a/seed0"},
        },
        "a starts from b starts from a",
    ),
    "a baseline": (
        {
            "p": {"family": "baseline", "generator": {"name": "pointwise"}},
            "a": {**PLAIN, "init_from": "results/phantom/models/p/seed0"},
        },
        "of variant p, which is fitted",
    ),
    "another network of the run": (
        {
            "plain": PLAIN,
            "a": {**PLAIN, "generator": {"name": "unet_32"}, "init_from": "results/phantom/models/plain/seed0"},
        },
        "variants.a.init_from: no kernel of results/phantom/models/plain/seed0 has",
    ),
    "a layer that is not there": (
        {"plain": PLAIN, "a": {**PLAIN, "init_from": "results/rock/models/plain/seed0", "freeze": ["head"]}},
        "variants.a.freeze: 'head' is no layer",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_started_from_is_refused(case: str) -> None:
    variants, words = REFUSED[case]
    with pytest.raises((ConfigError, InputError), match=words):
        check(**variants)


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    weights = saved(tmp_path / "m") / "generator.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(InputError, match=r"variants.a.init_from: .* damaged or belong to another model"):
        check(a={**PLAIN, "init_from": str(tmp_path / "m")})


def test_which_model_of_the_run_it_is() -> None:
    config = load_config({"variants": {"plain": PLAIN}, "results_dir": "out/r"})
    assert place_in_run("out/r/rock/models/plain/seed0", config, SAMPLES) == Place("rock", "plain", 0)
    for other in ("out/r/stone/models/plain/seed0", "out/r/rock/models/plain", "results/rock/models/plain/seed0"):
        assert place_in_run(other, config, SAMPLES) is None


def test_the_digest_is_that_of_the_weights_alone(tmp_path: Path) -> None:
    first, other_words = saved(tmp_path / "m"), saved(tmp_path / "n", voxel_size_nm=[1.0, 1.0, 1.0])
    assert weights_digest(str(first)) == weights_digest(str(other_words))
    (first / "model.json").write_text("{}")
    with pytest.raises(InputError, match="key 'weights_sha256' is missing"):
        weights_digest(str(first))
