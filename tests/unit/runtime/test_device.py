"""Which device is chosen, and what is said of one that is not there."""

from __future__ import annotations

import pytest
import torch

from txm2sem_core.errors import ConfigError
from txm2sem_core.runtime.device import choose_device


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine whose devices a test says."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_the_gpu_then_mps_then_the_cpu(
    machine: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cuda: bool, mps: bool, chosen: str
) -> None:
    machine.setattr(torch.cuda, "is_available", lambda: cuda)
    machine.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto").type == chosen
    assert ("No GPU found" in capsys.readouterr().err) == (chosen == "cpu")


@pytest.mark.parametrize("device", ["cuda", "mps", "gpu"])
def test_a_device_that_is_not_there_is_an_error_that_names_those_that_are(
    machine: pytest.MonkeyPatch, device: str
) -> None:
    with pytest.raises(ConfigError, match=rf"device: '{device}' is not there\. Choose auto or one of cpu\."):
        choose_device(device)
