"""Samples that are different phantoms of one configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from txm2sem_core.config import load_config
from txm2sem_core.errors import ConfigError
from txm2sem_core.samples.preflight import check_run

SMALL = {"shape": [24, 64, 64], "pair_every": 2}


def values(folder: Path, phantoms: dict[str, Any]) -> dict[str, Any]:
    (folder / "samples.tsv").write_text("sample\tsource\none\tphantom\ntwo\tphantom\n")
    return {
        "samples": str(folder / "samples.tsv"),
        "results_dir": str(folder / "results"),
        "patches": {"size_px": 32},
        "phantom": SMALL,
        "phantoms": phantoms,
        "variants": {"constant": {"family": "baseline", "generator": {"name": "constant"}}},
    }


def test_each_differs_in_its_own_keys_alone(tmp_path: Path) -> None:
    config = check_run(values(tmp_path, {"two": {"seed": 7, "photons": 900}})).config
    one, two = config.phantom_of("one"), config.phantom_of("two")
    assert one == config.phantom
    assert (two.seed, two.photons, two.shape) == (7, 900, (24, 64, 64))
    assert two.model_copy(update={"seed": 0, "photons": one.photons}) == one


def test_each_has_the_context_that_its_own_pairs_allow(tmp_path: Path) -> None:
    trained = {**values(tmp_path, {"two": {"pair_every": 3}}), "variants": {"f": {"family": "feedforward"}}}
    trained["train"] = {"context": "auto", "generator": {"name": "unet_32"}}
    contexts = {name: config.variant("f").context for name, config in check_run(trained).of_sample.items()}
    assert contexts == {"one": 0, "two": 1}


@pytest.mark.parametrize(
    ("phantoms", "said"),
    [
        ({"three": {"seed": 1}}, r"phantoms\.three: no sample of source phantom has this name"),
        ({"two": {"sead": 1}}, r"phantoms\.two\.sead"),
        ({"two": {"photons": -1}}, r"phantoms\.two\.photons"),
        ({"two": {"shape": [24, 8, 8]}}, r"shape: \[24, 8, 8\]"),
    ],
)
def test_what_is_wrong_of_one_is_said(tmp_path: Path, phantoms: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        check_run(values(tmp_path, phantoms))


def test_without_any_all_are_the_same(tmp_path: Path) -> None:
    config = load_config(values(tmp_path, {}))
    assert config.phantom_of("one") == config.phantom_of("two") == config.phantom
