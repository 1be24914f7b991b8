"""Run the published code and write what it gives to recorded.json: `python tests/reference/record.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from cases import STEPS, batch_of, double_precision, settings_of
from published import copy_weights, networks_of, published_losses, published_model, published_step
from recording import RECORDED, fill_by_formula, sums_of

from txm2sem_core.training.steps import Learner


def record(case: str) -> list[dict[str, Any]]:
    """Losses and sums of weights after each step."""
    settings = settings_of(case)
    model, carrier = published_model(settings, 0), Learner(settings, 0, torch.device("cpu"))
    for ours, theirs in networks_of(carrier, model):
        fill_by_formula(ours)
        copy_weights(ours, theirs, to_ours=False)
    steps = []
    for step in range(STEPS):
        torch.manual_seed(step)
        published_step(model, batch_of(settings, step))
        weights = []
        for ours, theirs in networks_of(carrier, model):
            copy_weights(ours, theirs, to_ours=True)  # only to have our names
            weights.append({key: [round(v, 7) for v in sums] for key, sums in sums_of(ours).items()})
        losses = {name: round(value, 8) for name, value in published_losses(settings.family, model).items()}
        steps.append({"losses": losses, "weights": weights})
    return steps


if __name__ == "__main__":
    with double_precision():
        recorded = {case: record(case) for case in RECORDED}
    text = json.dumps({"commit": "b1e1fa2", "torch": torch.__version__.partition("+")[0], "cases": recorded}, indent=0)
    (Path(__file__).parent / "recorded.json").write_text(text + "\n")
