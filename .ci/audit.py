"""Look up a lock's versions, and the lowest that a project allows, among known vulnerabilities.

`audit.py PIP_AUDIT LOCK PYPROJECT`. Exit code 0: none is known, or nobody could be asked (in words); 1: some are, or a
dependency has no lowest version.
pip-audit by itself reports success where the service knew none of the packages, as behind a mirror of the registry.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


def main(command: str, lock: str, project: str) -> int:
    """Ask for the lock, and for the floors of the project."""
    floors, without = lowest(Path(project))
    for name in without:
        print(f"audit: {name}: {project} allows every version of it. Give it a lowest one.")
    found = [bool(without), _audit(command, lock, lock)]
    with tempfile.TemporaryDirectory() as folder:
        pinned = Path(folder, "floors.txt")
        pinned.write_text("".join(f"{name}=={version}\n" for name, version in floors.items()), encoding="utf-8")
        found.append(_audit(command, str(pinned), f"the lowest versions of {project}"))
    return int(any(found))


def lowest(project: Path) -> tuple[dict[str, str], list[str]]:
    """The lowest version of each dependency, those of developers left out; and the names of those that have none."""
    described = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = [words for extra, words in described["optional-dependencies"].items() if extra not in ("dev", "second")]
    floors, without = {}, []
    for text in [*described["dependencies"], *(word for words in extras for word in words)]:
        name = re.match(r"[\w.-]+", text)
        version = re.search(r">=\s*([\w.]+)", text)
        assert name is not None, text
        if version is None:
            without.append(name[0])
        else:
            floors[name[0]] = version[1]
    return floors, without


def _audit(command: str, requirements: str, what: str) -> bool:
    """Run pip-audit on a list of versions as it is: nothing is resolved, so nothing is downloaded or built."""
    words = [command, "--requirement", requirements, "--no-deps", "--disable-pip"]
    words += ["--progress-spinner", "off", "-f", "json"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        print(f"audit: {what}: skipped, as pip-audit could not be installed.")
        return False
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]
        print(f"audit: {what}: skipped, as the service that knows vulnerabilities cannot be reached ({last}).")
        return False
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        print(f"audit: {what}: skipped, as the service asked knows none of the {len(packages)} packages (a mirror?).")
        return False
    known = [(package, fault) for package in audited for fault in package["vulns"]]
    for package, fault in known:
        fixed = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"audit: {package['name']} {package['version']}: {fault['id']}, fixed in {fixed}")
    print(f"audit: {what}: {len(audited)} of {len(packages)} packages looked up, {len(known)} known vulnerabilities.")
    return bool(known)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
