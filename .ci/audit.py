"""Look up a lock's versions among known vulnerabilities, and say so where nobody could be asked.

`audit.py PIP_AUDIT LOCK`. Exit code 0: none is known, or nobody could be asked (in words); 1: some are.
pip-audit by itself reports success where the service knew none of the packages, as behind a mirror of the registry.
"""

from __future__ import annotations

import json
import subprocess
import sys


def main(command: str, lock: str) -> int:
    """Run pip-audit on the lock as it is: nothing is resolved, so nothing is downloaded or built."""
    words = [command, "--requirement", lock, "--no-deps", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        print("audit: skipped, as pip-audit could not be installed.")
        return 0
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]
        print(f"audit: skipped, as the service that knows vulnerabilities cannot be reached ({last}).")
        return 0
    audited = [package for package in packages if "skip_reason" not in package]
    if not audited:
        print(f"audit: skipped, as the service that was asked knows none of the {len(packages)} packages (a mirror?).")
        return 0
    known = [(package, fault) for package in audited for fault in package["vulns"]]
    for package, fault in known:
        mended = ", ".join(fault["fix_versions"]) or "no version yet"
        print(f"audit: {package['name']} {package['version']}: {fault['id']}, mended in {mended}")
    print(f"audit: {len(audited)} of {len(packages)} packages looked up, {len(known)} known vulnerabilities.")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
