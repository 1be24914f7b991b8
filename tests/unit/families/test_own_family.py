"""A family of the user's own, from one file: the example of the documentation, and what can be wrong with one."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import make_store, tiny

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings, load_config
from txm2sem_core.config.families import STAND_IN, FamilyRules, built_in, declared_in, rules_of
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.families import (
    Family,
    Feedforward,
    family_names,
    family_of,
    family_of_model,
    family_plugin,
    learner_of,
)
from txm2sem_core.families.registry import _families, register_family
from txm2sem_core.inference import Predictor
from txm2sem_core.networks import load_plugins
from txm2sem_core.samples.own_networks import check_own_networks
from txm2sem_core.training import train_model

PAGE = Path(__file__).parents[3] / "docs/guides/your-own-family.md"
SMALL = {"name": "resnet_1blocks", "width": 4}


def example(folder: Path, name: str) -> Path:
    """The page's file, its family under a name of this test's own."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert '"slopes"' in code
    file = folder / f"{name}.py"
    file.write_text(code.replace('"slopes"', f'"{name}"'))
    return file


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "txm2sem_core", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True)


def test_what_is_read_of_our_files_is_what_they_register() -> None:
    ours = {name: family for name, family in _families.items() if family_plugin(name) is None}
    assert {name: family.rules for name, family in ours.items()} == built_in()
    assert all(family.name == name for name, family in ours.items())
    folder = Path(sys.modules[Family.__module__].__file__ or "").parent
    assert all((folder / f"{name}.py").is_file() for name in built_in()), "a family is one file"


def test_nothing_else_asks_for_a_family_by_its_name() -> None:
    """But for those that are called as the task that they serve."""
    names = {name for name, rules in built_in().items() if rules.trained and rules.translates}
    root = PAGE.parents[2]
    files = [*(root / "txm2sem_core").rglob("*.py"), *(root / "workflow/scripts").glob("*.py")]
    asking = {
        (file.relative_to(root).as_posix(), node.value)
        for file in files
        if file.parent.name != "families"
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in names
    }
    assert len(names) == 5
    through_pores = ("txm2sem_core/config/stages.py", "flow")  # another flow: measure.rock.flow
    assert asking == {("txm2sem_core/config/families.py", STAND_IN), through_pores}
    for file in [root / "Snakefile", *(root / "workflow/rules").glob("*.smk")]:
        assert not [name for name in names if f'"{name}"' in file.read_text()], file


@pytest.mark.slow  # four processes that load torch
def test_the_documented_family_trains_and_predicts_from_the_command_line(tmp_path: Path) -> None:
    file = example(tmp_path, "slopes")
    make_store(tmp_path / "p", train=4, evaluation=1, context=1)
    load_config({"plugins": [str(file)], "variants": {"mine": {"family": "slopes"}}})
    settings = tiny("slopes", context=1, generator=SMALL).canonical_json()
    common = ["--patches", tmp_path / "p", "--settings", settings, "--output", tmp_path / "m", "--device", "cpu"]
    refused = run("train", *common)
    assert refused.returncode == 1
    assert "there is no family 'slopes'" in refused.stderr
    trained = run("train", *common, "--plugin", file)
    assert trained.returncode == 0, trained.stderr
    assert json.loads((tmp_path / "m/model.json").read_text())["family_plugin"]["file"] == "slopes.py"

    io.write_tiff(tmp_path / "txm.tif", np.zeros((40, 40), np.uint8), None)
    predicting = ["predict", "--model", tmp_path / "m", "--input", tmp_path / "txm.tif", "--output", tmp_path / "o.tif"]
    without = run(*predicting)
    assert without.returncode == 1
    assert "registered by the file 'slopes.py'" in without.stderr
    assert "Traceback" not in without.stderr
    assert run(*predicting, "--plugin", file).returncode == 0
    assert (tmp_path / "o.tif").exists()


def test_its_loss_and_its_prediction_are_used(tmp_path: Path) -> None:
    """A network of zeros predicts the TXM slice itself, in training, in validation and of a plane."""
    file = example(tmp_path, "used")
    store = make_store(tmp_path / "p", context=1)
    load_plugins([file])
    settings = tiny("used", context=1, generator=SMALL, optimiser={"learning_rate": 1e-12}, select="last")
    family, learner = family_of(settings), learner_of(settings, 0, torch.device("cpu"))
    given = torch.rand((2, 3, 32, 32))
    assert torch.equal(family.predict(lambda x: torch.zeros_like(x[:, :1]), given), given[:, 1:2])
    train_model(tmp_path / "p", settings, 0, tmp_path / "m", device="cpu")
    model = load_model(tmp_path / "m")
    with torch.no_grad():
        for weights in model.generator.parameters():
            weights.zero_()
    images = next(iter(store.pairs.values()))
    made = Predictor(model, PredictSettings(), "cpu").predict_plane(images.txm)
    expected = store.sem_range.from_unit(store.txm_range.to_unit(images.txm[1]))
    np.testing.assert_allclose(made, expected, atol=1e-4)
    assert learner.generator.in_channels == 3


def test_its_own_settings_stand_under_those_of_the_variant(tmp_path: Path) -> None:
    file = example(tmp_path, "settled")
    own = {"a": {"family": "settled"}, "b": {"family": "settled", "pixel_weight": 2.0}}
    for train, weights in (({}, (10.0, 2.0)), ({"pixel_weight": 3.0}, (3.0, 2.0))):
        config = load_config({"plugins": [str(file)], "train": train, "variants": own})
        assert tuple(config.variant(name).pixel_weight for name in own) == weights
        assert config.variant("a").generator.name == "resnet_6blocks"
    assert config.trained == ("a", "b")


def test_the_config_knows_the_families_without_running_the_file(tmp_path: Path) -> None:
    file = example(tmp_path, "untouched_family")
    file.write_text(file.read_text() + "\nraise RuntimeError('run')\n")
    variants = {"mine": {"family": "untouched_family"}}
    load_config({"plugins": [str(file)], "variants": variants})
    assert rules_of("untouched_family") is not None
    with pytest.raises(ConfigError, match=r"variants\.mine\.family: there is no family 'untouched_family'\."):
        load_config({"variants": variants})
    with pytest.raises(ConfigError, match="Did you mean 'pix2pix'"):
        load_config({"variants": {"mine": {"family": "pix2pxi"}}})
    with pytest.raises(ConfigError, match=r"untouched_family\.py, line \d+: RuntimeError: run"):
        load_plugins([file])


def test_rules_of_ones_own_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "judged.py"
    file.write_text('@register_family("judged", adversarial=True, enlarges=True)\nclass Judged(Pix2Pix): ...\n')
    assert declared_in(file) == {"judged": FamilyRules(adversarial=True, enlarges=True)}
    plugins = {"plugins": [str(file)]}
    with pytest.raises(ConfigError, match="factor must be 2, 4 or 8 for family judged"):
        load_config({**plugins, "variants": {"a": {"family": "judged"}}})
    small = {"size_px": 16, "grid_px": 4}
    network = {"generator": {"name": "sr_resnet_1blocks"}}
    with pytest.raises(ConfigError, match=r"variants\.a\.discriminator: 'basic' .* needs patches of 24"):
        load_config({**plugins, "patches": small, "variants": {"a": {"family": "judged", "factor": 2, **network}}})


def test_a_changed_file_replaces_its_family(tmp_path: Path) -> None:
    file = example(tmp_path, "replaced")
    load_plugins([file])
    first, recorded = _families["replaced"], family_plugin("replaced")
    file.write_text(file.read_text() + "# another\n")
    load_plugins([file])
    assert _families["replaced"] is not first
    assert family_plugin("replaced") != recorded
    assert family_plugin("pix2pix") is None
    text = file.read_text()
    file.write_text(text.replace('"replaced"', '"renamed"'))
    load_plugins([file])
    assert {"replaced", "renamed"} & set(family_names()) == {"renamed"}
    file.write_text(text)  # and back again
    load_plugins([file])
    assert {"replaced", "renamed"} & set(family_names()) == {"replaced"}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ('@register_family("pix2pix")\nclass F(Family): ...\n', "a name of ours"),
        (
            '@register_family("mine", magic=1)\nclass F(Family): ...\n',
            "line 1: .* has no argument 'magic'",
        ),
        ('x = 2.0\n@register_family("mine", settings={"pixel_weight": x})\nclass F(Family): ...\n', "a plain value"),
        ('@register_family("mine", task="painting")\nclass F(Family): ...\n', "task 'painting' is not known"),
        (
            '@register_family("mine", settings=["x"])\nclass F(Family): ...\n',
            "settings must be keys and values",
        ),
        ("class F(Family): ...\n", "registers no generator and no family"),
    ],
)
def test_files_that_cannot_serve(tmp_path: Path, code: str, words: str) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(code)
    with pytest.raises(ConfigError, match=words):
        load_config({"plugins": [str(file)], "variants": {"a": {"family": "feedforward"}}})


def test_a_taken_name_is_refused() -> None:
    class Slopes(Family):
        """Of another module than SRGAN."""

    with pytest.raises(ConfigError, match="named 'srgan' is registered already"):
        register_family("srgan")(Slopes)


def test_a_fault_is_reported_before_the_first_job(tmp_path: Path) -> None:
    file = example(tmp_path, "faulty")
    file.write_text(file.read_text().replace("+ network(given)", "+ network(given)[..., 1:]"))
    config = load_config({"plugins": [str(file)], "variants": {"a": {"family": "faulty", "generator": SMALL}}})
    with pytest.raises(ConfigError, match=r"variants\.a\.family: 'faulty' cannot take patches"):
        check_own_networks(config)


def test_a_model_of_another_version_is_read_where_it_can_be() -> None:
    """Keys that are no longer known are ignored, impossible values are reported."""
    settings = {"family": "repair", "damage": [0.1, 0.2], "gone": 1, "optimiser": {"gone": 1}}
    family = family_of_model({"family": "repair", "settings": settings})
    assert family.settings.damage == (0.1, 0.2)
    assert family_of_model({}).name == "feedforward"  # of the published code, which says none
    with pytest.raises(InputError, match=r"model\.json: settings\.damage"):
        family_of_model({"family": "repair", "settings": {**settings, "damage": "all"}})
    with pytest.raises(ConfigError, match="no family 'theirs'"):
        family_of_model({"family": "theirs"})


@pytest.mark.parametrize(("key", "value"), [("settings", 3), ("family_plugin", "mine.py"), ("family", ["repair"])])
def test_a_damaged_description_is_reported(tmp_path: Path, key: str, value: object) -> None:
    make_store(tmp_path / "p", train=4, evaluation=1)
    train_model(tmp_path / "p", tiny("feedforward"), 0, tmp_path / "m", device="cpu")
    description = json.loads((tmp_path / "m/model.json").read_text())
    (tmp_path / "m/model.json").write_text(json.dumps({**description, key: value}))
    with pytest.raises(InputError, match=key):
        Predictor(load_model(tmp_path / "m"), PredictSettings(), "cpu")


def test_steps_of_a_users_code_are_never_captured() -> None:
    """What Python does in a step beside tensors would be done once, when a GPU captures it."""
    settings = tiny("feedforward")

    class Counting(Feedforward):
        """A family that is defined where it is used."""

    ours, theirs = (family(settings).learner(0, torch.device("cpu")) for family in (Feedforward, Counting))
    assert ours._kind(ours, True) == (True,)
    assert theirs._kind(theirs, True) is None
