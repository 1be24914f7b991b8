"""What a job loads before it begins: no more than its conda environment has, and nothing heavy that it does not use."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from workflow_rules import rules, scripts_in, section

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "workflow/scripts"
WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent!r}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
"""
WITHOUT_TORCH = WITHOUT.format(absent=["torch"])
LATE = ("SimpleITK", "matplotlib", "scipy.ndimage", "scipy.special", "skimage", "torch", "zarr")
HEAVY = ("SimpleITK", "h5py", "matplotlib", "pandas", "pyamg", "scipy", "skimage", "sympy")


def scripts_without_torch() -> list[str]:
    """Scripts of the rules that run in the environment of imaging."""
    texts = [text for _, text in rules() if "envs/imaging.yaml" in (section(text, "conda") or "")]
    return sorted({script for text in texts for script in scripts_in(section(text, "params") or "")})


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=SCRIPTS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", scripts_without_torch())
def test_scripts_of_the_imaging_environment_need_no_torch(script: str) -> None:
    file = "call_function" if ":" in script else script
    nodes = ast.parse((SCRIPTS / f"{file}.py").read_text()).body
    imports = [ast.unparse(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))]
    imports += [f"import txm2sem_core.{module}" for module, _, name in [script.partition(":")] if name]
    run("\n".join([WITHOUT_TORCH, *imports]))


def test_most_scripts_are_of_that_environment() -> None:
    assert {"figures.montage:montage_figure", "extract_patches", "measure_volume"} < set(scripts_without_torch())


@pytest.mark.parametrize("module", ["io", "measure.rock", "measure.summary", "samples", "costs.forecast"])
def test_what_is_read_and_measured_loads_no_library_before_it_is_used(module: str) -> None:
    """A run starts a hundred jobs, and each of these takes a third of a second to load."""
    code = f"import sys, txm2sem_core.{module}; print(*sorted(set(sys.modules) & set({LATE!r})))"
    assert run(code).split() == []


@pytest.mark.parametrize("package", ["inference", "checkpoint"])
def test_a_prediction_loads_nothing_heavy_but_torch(package: str) -> None:
    code = f"import sys, txm2sem_core.{package}; print(*sorted(set(sys.modules) & set({HEAVY!r})))"
    assert run(code).split() == []


def test_training_and_prediction_do_without_what_they_seldom_need() -> None:
    """On a machine lent for minutes, with a PyTorch of its own, such packages are absent."""
    absent = ["SimpleITK", "imagecodecs", "olefile", "pywt", "skimage", "tensorboard"]
    run(WITHOUT.format(absent=absent) + "import txm2sem_core.inference, txm2sem_core.training, txm2sem_core.io")


def test_a_model_is_looked_at_without_pytorchs_compiler() -> None:
    """It takes seconds to load, and PyTorch does so for some functions of tensors that have shapes alone."""
    code = """
import sys
from txm2sem_core.checkpoint.skeleton import skeleton
from txm2sem_core.networks import build_generator, generator_names
from txm2sem_core.networks.registry import generator_entry

for name in generator_names():
    factors = generator_entry(name).factors
    skeleton(build_generator, {"name": name, "factor": factors[0] if factors else 1, "width": 4})
    if factors is None or 1 in factors:
        skeleton(build_generator, {"name": name, "width": 4, "in_channels": 2, "flow_steps": 2})
print(*sorted(set(sys.modules) & {"sympy", "torch._dynamo"}))
"""
    assert run(code).split() == []
