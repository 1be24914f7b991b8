"""Every way of computing is tested on every processor, whichever it would choose."""

from __future__ import annotations

import pytest

from txm2sem_core.acceleration import winograd


@pytest.fixture(autouse=True)
def filtering_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "products_keep_up", lambda: True)
