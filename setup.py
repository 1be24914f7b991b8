"""The wheel holds the workflow too: what lies beside the package in a clone lies in `txm2sem_core/project/` there."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
PROJECT = ("Snakefile", "workflow", "config", "envs", "profiles")


class BuildWithWorkflow(build_py):
    """The package, and beside its rooms the workflow."""

    def run(self) -> None:
        """Copy both."""
        super().run()
        if self.editable_mode:
            return  # a clone is used as it lies
        target = Path(self.build_lib) / "txm2sem_core/project"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in PROJECT:
            if (HERE / name).is_dir():
                shutil.copytree(HERE / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(HERE / name, target / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
