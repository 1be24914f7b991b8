"""A network of the user's own, from one file: the example of the documentation, and what can be wrong with one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_data import make_store, tiny

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import load_config
from txm2sem_core.config.generators import BUILT_IN, registered_names
from txm2sem_core.errors import ConfigError
from txm2sem_core.networks import build_generator, generator_names, load_plugins, plugin_of

PAGE = Path(__file__).parents[3] / "docs/guides/your-own-network.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The page's file, under a name of this test's own."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    file = tmp_path / "my_network.py"
    file.write_text(code)
    return file


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "txm2sem_core", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True)


def test_the_names_that_the_config_knows_are_the_registry_s() -> None:
    ours = {name for name in generator_names() if plugin_of(name) is None}
    assert ours - {"residual"} == BUILT_IN


@pytest.mark.slow  # three processes that load torch
def test_the_documented_network_trains_and_predicts_from_the_command_line(tmp_path: Path, example: Path) -> None:
    make_store(tmp_path / "p", train=4, evaluation=1, context=1)
    settings = tiny("feedforward", context=1, generator={"name": "residual"}).canonical_json()
    common = ["--patches", tmp_path / "p", "--settings", settings, "--output", tmp_path / "m", "--device", "cpu"]
    trained = run("train", *common, "--plugin", example)
    assert trained.returncode == 0, trained.stderr
    recorded = json.loads((tmp_path / "m/model.json").read_text())["plugin"]
    assert recorded["file"] == "my_network.py"
    assert len(recorded["sha256"]) == 64

    io.write_tiff(tmp_path / "txm.tif", np.zeros((40, 40), np.uint8), None)
    predicting = ["predict", "--model", tmp_path / "m", "--input", tmp_path / "txm.tif", "--output", tmp_path / "o.tif"]
    without = run(*predicting)
    assert without.returncode == 1
    assert "'residual' was registered by the file 'my_network.py'" in without.stderr
    assert "Traceback" not in without.stderr
    assert run(*predicting, "--plugin", example).returncode == 0
    assert (tmp_path / "o.tif").exists()


def test_a_file_is_loaded_once_and_its_network_knows_it(example: Path) -> None:
    load_plugins([example, example])
    first = plugin_of("residual")
    assert first is not None
    example.write_text(example.read_text() + "# another\n")
    load_plugins([example])
    assert plugin_of("residual") != first
    assert plugin_of("unet_32") is None
    assert build_generator("residual", width=2, in_channels=3, seed=0).in_channels == 3


def test_the_config_knows_the_names_without_running_the_file(tmp_path: Path, example: Path) -> None:
    example.write_text(example.read_text().replace("residual", "untouched") + "\nraise RuntimeError('run')\n")
    assert registered_names(example) == {"untouched"}
    variants = {"mine": {"family": "feedforward", "generator": {"name": "untouched"}}}
    load_config({"plugins": [str(example)], "variants": variants})
    with pytest.raises(ConfigError, match=r"variants\.mine\.generator\.name: there is no generator 'untouched'\."):
        load_config({"variants": variants})
    near = {"mine": {"family": "feedforward", "generator": {"name": "unet_33"}}}
    with pytest.raises(ConfigError, match="Did you mean 'unet_32'"):
        load_config({"variants": near})
    with pytest.raises(ConfigError, match=r"my_network\.py, line \d+: RuntimeError: run"):
        load_plugins([example])


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def f(:\n", "is not Python"),
        ("x = 1\n", "registers no generator"),
        ("@register_generator('unet_32')\ndef f(options): ...\n", "a name of ours"),
        ("register_generator(name)\n", "registers no generator"),
    ],
)
def test_files_that_cannot_serve(tmp_path: Path, code: str, words: str) -> None:
    file = tmp_path / "plugin.py"
    file.write_text(code)
    with pytest.raises(ConfigError, match=words):
        registered_names(file)


def test_a_model_that_names_a_file_does_not_run_it(tmp_path: Path) -> None:
    """A stranger's model with a file beside it: loading it says what is missing, and runs nothing."""
    make_store(tmp_path / "p", train=4, evaluation=1)
    hostile = tmp_path / "m" / "evil.py"
    hostile.parent.mkdir()
    hostile.write_text("raise SystemExit('run')")
    io.write_json(
        tmp_path / "m/model.json",
        {"generator": {"name": "evil"}, "plugin": {"file": str(hostile)}, "weights_sha256": "0" * 64},
    )
    (tmp_path / "m/generator.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match="--plugin"):
        load_model(tmp_path / "m")
