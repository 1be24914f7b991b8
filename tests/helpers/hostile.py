"""How many hostile cases are tried, and what became of them.

`TXM2SEM_CASES=nightly` tries 2,000 over all kinds, otherwise it is 200. `tried` counts; pytest's summary prints it.
"""

from __future__ import annotations

import os
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings

from txm2sem_core.errors import Txm2semError

TOTAL = 2000 if os.environ.get("TXM2SEM_CASES") == "nightly" else 200
SHARES = {"configs": 0.3, "sample tables": 0.2, "checkpoints": 0.2, "images": 0.3}
OUTCOMES: Counter[tuple[str, str]] = Counter()


def cases(kind: str) -> settings:
    """So many examples of a kind; no deadline, since other work may share the machine."""
    return settings(
        max_examples=round(TOTAL * SHARES[kind]),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    )


def tried(kind: str, attempt: Callable[[], object], *folders: Path) -> bool:
    """Run a case: handled (True) or refused in one line (False); anything else is a failure of ours.

    `folders` must look the same before and after a refusal.
    """
    before = _listing(folders)
    try:
        attempt()
    except Txm2semError as error:
        message = str(error)
        OUTCOMES[kind, "refused"] += 1
        assert message.strip()
        assert "\n" not in message, message
        assert len(message) < 3000, message
        assert _listing(folders) == before, "a refusal left something behind"
        return False
    except BaseException:
        OUTCOMES[kind, "FAILED"] += 1
        traceback.print_exc()
        raise
    OUTCOMES[kind, "handled"] += 1
    return True


def _listing(folders: tuple[Path, ...]) -> list[str]:
    return sorted(str(path) for folder in folders for path in folder.rglob("*"))
