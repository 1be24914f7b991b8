"""One line with the outcomes of all tests in a run of the CI, and which passed at the second try only."""

from pathlib import Path
from xml.etree import ElementTree

OUTCOMES = {"failure": "failed", "error": "errors", "skipped": "skipped"}


def outcomes(results: Path) -> dict[str, str]:
    """The outcome of each test, by its name, in a JUnit file of pytest; none where there is no file."""
    if not results.exists():
        return {}
    cases = ElementTree.parse(results).getroot().iter("testcase")
    return {
        f"{case.get('classname')}::{case.get('name')}": next(
            (OUTCOMES[part.tag] for part in case if part.tag in OUTCOMES), "passed"
        )
        for case in cases
    }


def seconds(results: Path) -> float:
    """How long the tests of a JUnit file took together; 0 where there is no file."""
    if not results.exists():
        return 0
    return sum(float(suite.get("time", 0)) for suite in ElementTree.parse(results).getroot().iter("testsuite"))


def main() -> None:
    """Print them."""
    first, again, slurm = (Path(f".pytest-results{part}.xml") for part in ("", "-again", "-slurm"))
    second = outcomes(again)
    for test, outcome in outcomes(first).items():
        if outcome in ("failed", "errors") and second.get(test) == "passed":
            print(f"Passed at the second try only: {test}")
    found = [*(outcomes(first) | second).values(), *outcomes(slurm).values()]
    counts = {name: found.count(name) for name in ("failed", "passed", "skipped", "errors")}
    shown = ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count or outcome == "passed")
    print(f"===== {shown} in {sum(map(seconds, (first, again, slurm))):.2f}s =====")


if __name__ == "__main__":
    main()
