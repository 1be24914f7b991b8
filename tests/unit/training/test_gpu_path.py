"""What runs on a GPU, without one.

The device `meta` stands for it. Its tensors have shapes and no values, so whatever asks for a value (`.item()`,
`bool()`, a copy to the CPU), and would make a GPU wait in every step, fails there. So do sums, losses, norms and joins
with a tensor that was left on the CPU; convolutions do not. Layers take the way of a GPU: our own kernels are for CPUs.
"""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor
from training_cases import SIDE_PX, STEPS, batch_of, settings_of

from txm2sem_core.acceleration import precision
from txm2sem_core.acceleration.transfer import sent
from txm2sem_core.config import TrainSettings
from txm2sem_core.config.families import built_in
from txm2sem_core.families import Batch, family_of, learner_of

META = torch.device("meta")
OBJECTIVES = get_args(TrainSettings.model_fields["objective"].annotation)
PENALTIES = ("projection", "perturbation", "stack")
NETWORKS = ("linearfilt", "gammafilt", "resnet_2blocks", "unet_32", "unet_64", "residual_unet")
LAYOUTS = pytest.mark.parametrize("channels_last", [False, True], ids=["plain", "channels last"])


@pytest.fixture(autouse=True)
def adam_in_single_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fused one knows no device without values."""
    monkeypatch.setattr(precision, "Adam", torch.optim.Adam)


def two_steps_and_a_plane(settings: TrainSettings) -> tuple[list[Tensor], Tensor]:
    """All losses, and a prediction; a step without the generator is the first, where the critic has more steps."""
    learner = learner_of(settings, 0, META)
    learner.generator.train()
    losses: list[Tensor] = []
    for number in range(2):
        update = (number + 1) % settings.critic_steps == 0 or learner.discriminator is None
        losses += learner.step(batch_of(settings), update).values()
    learner.generator.eval()
    with torch.no_grad():
        return losses, family_of(settings).alone(learner.generator, learner.compute.batch(batch_of(settings).txm))


def check(settings: TrainSettings) -> None:
    losses, plane = two_steps_and_a_plane(settings)
    assert losses
    assert {loss.device for loss in losses} == {META}
    assert plane.device == META
    assert plane.shape[-2:] == (SIDE_PX, SIDE_PX)


@LAYOUTS
@pytest.mark.parametrize("family", [name for name, rules in built_in().items() if rules.trained])
def test_every_family_runs_without_a_wait(family: str, channels_last: bool) -> None:
    check(settings_of(family, compute={"channels_last": channels_last}))


@LAYOUTS
@pytest.mark.parametrize("network", NETWORKS)
def test_every_network_runs_without_a_wait(network: str, channels_last: bool) -> None:
    check(settings_of("feedforward", network, context=1, compute={"channels_last": channels_last}))


@LAYOUTS
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("family", [name for name, rules in built_in().items() if rules.adversarial])
def test_every_objective_runs_without_a_wait(family: str, objective: str, channels_last: bool) -> None:
    options: dict[str, Any] = {
        "discriminator": {"width": 4, "norm": "none"},
        "compute": {"channels_last": channels_last},
    }
    check(settings_of(family, objective=objective, critic_steps=2, **options))


@pytest.mark.parametrize(
    "discriminator",
    [{"name": "pixel"}, {"name": "n_layers", "layers": 2, "spectral_norm": True}, {"conditional": False}],
)
def test_every_discriminator_runs_without_a_wait(discriminator: dict[str, Any]) -> None:
    check(settings_of("pix2pix", discriminator={"width": 4, **discriminator}, r1_weight=1.0, ema_decay=0.9))


@LAYOUTS
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize(
    "family", [name for name, rules in built_in().items() if rules.trained and rules.penalised and rules.translates]
)
def test_every_penalty_runs_without_a_wait(family: str, penalty: str, reduction: str, channels_last: bool) -> None:
    weights = {penalty: 0.01, "every": 1, "reduction": reduction}
    check(settings_of(family, z_penalty=weights, compute={"channels_last": channels_last}))


@pytest.mark.parametrize("family", ["feedforward", "pix2pix"])
@pytest.mark.parametrize("penalty", ["perturbation", "stack", "projection"])
def test_a_difference_quotient_is_taken_of_all_digits(penalty: str, family: str) -> None:
    """Of the step of 0.001 little would be left by products of 10 bits, forward and backward."""
    settings = settings_of(family, z_penalty={penalty: 0.01, "every": 2})
    learner = learner_of(settings, 0, torch.device("cpu"))
    learner.generator.train()
    seen: set[bool] = set()
    learner.generator.register_forward_pre_hook(lambda *_: seen.add(torch.backends.cudnn.allow_tf32))
    for parameter in learner.generator.parameters():
        parameter.register_hook(lambda _: seen.add(torch.backends.cudnn.allow_tf32))
    as_it_was = torch.backends.cudnn.allow_tf32
    is_due = []
    for _ in range(2):
        seen.clear()
        learner.step(batch_of(settings))
        is_due.append(seen == {False})
        assert len(seen) == 1
        assert torch.backends.cudnn.allow_tf32 == as_it_was
    assert sorted(is_due) == [False, penalty == "perturbation"]


@pytest.mark.parametrize("wait", [lambda x: float(x.mean()), lambda x: bool(x.any()), lambda x: x.cpu(), torch.nonzero])
def test_the_device_reports_waits(wait: Any) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        wait(torch.ones(3, device=META))


@pytest.mark.parametrize("join", [torch.add, torch.nn.functional.l1_loss, lambda a, b: torch.cat([a, b])])
def test_the_device_reports_tensors_that_were_left_behind(join: Any) -> None:
    with pytest.raises(RuntimeError):
        join(torch.ones(1, 1, 4, 4), torch.ones(1, 1, 4, 4, device=META))


@LAYOUTS
def test_averaged_weights_are_kept_without_a_wait(channels_last: bool) -> None:
    check(settings_of("pix2pix", ema_decay=0.9, compute={"channels_last": channels_last}))


class OfGpu:
    """Values that tell how they are copied, as there is no GPU."""

    def __init__(self, kind: str) -> None:
        self.device, self.pinned, self.asked = torch.device(kind), False, dict[str, object]()

    def pin_memory(self) -> OfGpu:
        self.pinned = True
        return self

    def to(self, device: torch.device, **options: object) -> OfGpu:
        self.device, self.asked = device, options
        return self


@pytest.mark.parametrize(("kind", "waits"), [("cpu", False), ("cuda", True)])
def test_a_copy_from_the_processor_to_a_gpu_waits_for_nothing(kind: str, waits: bool) -> None:
    values: Any = OfGpu(kind)
    assert sent(values, torch.device("cuda")) is values
    assert values.pinned is not waits
    assert ("non_blocking" in values.asked) is not waits
    kept = torch.arange(3)
    assert sent(kept, torch.device("cpu")) is kept


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on a GPU")


@GPU
@LAYOUTS
@pytest.mark.parametrize("case", STEPS)
def test_graphs_of_steps_learn_what_launched_steps_learn(
    case: str, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same losses, from the first step to the last, in float32 without TF32."""
    monkeypatch.undo()  # the fused optimiser
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    settings = settings_of(case.partition(",")[0], **STEPS[case], compute={"channels_last": channels_last})
    gpu = torch.device("cuda")
    found: dict[bool, list[dict[str, float]]] = {}
    for as_graphs in (False, True):
        learner = learner_of(settings, 0, gpu)
        assert learner._captured is not None
        if not as_graphs:
            learner._captured = None
        learner.generator.train()
        found[as_graphs] = []
        for number in range(12):
            update = (number + 1) % settings.critic_steps == 0 or learner.discriminator is None
            torch.manual_seed(number)
            terms = learner.step(batch_of(settings), update)
            found[as_graphs].append({name: float(value) for name, value in terms.items()})
        assert not as_graphs or learner._captured.graphs
    for launched, replayed in zip(found[False], found[True], strict=True):
        assert replayed == pytest.approx(launched, rel=2e-2, abs=1e-3)


@GPU
@pytest.mark.parametrize("critic_steps", [1, 2])
def test_graphs_follow_learning_rates_and_smaller_batches(
    critic_steps: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With dropout, whose random state belongs to the graphs; a small batch ends the steps at each rate."""
    monkeypatch.undo()
    generator = {"name": "unet_64", "width": 4, "dropout": True}
    settings = settings_of("pix2pix", generator=generator, objective="lsgan", critic_steps=critic_steps)
    learner = learner_of(settings, 0, torch.device("cuda"))
    learner.generator.train()
    for epoch in range(5):
        for optimiser in learner.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = 2e-4 / (1 + epoch)
        for number in range(7):
            batch = batch_of(settings)
            if number == 6:
                batch = Batch(batch.txm[:1], batch.sem[:1], batch.mask[:1])
            terms = learner.step(batch, (number + 1) % critic_steps == 0)
            assert all(bool(torch.isfinite(term)) for term in terms.values())
    assert learner._captured is not None
    assert learner._captured.graphs == critic_steps
    assert capsys.readouterr().err == ""


@GPU
def test_replays_leave_random_numbers_where_they_were_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is taken within a capture would be written to by whatever had it before."""
    monkeypatch.undo()
    settings = settings_of("feedforward", z_penalty={"projection": 0.01})
    learner = learner_of(settings, 0, torch.device("cuda"))
    learner.generator.train()
    for _ in range(6):
        state = learner.noise.get_state()
        learner.step(batch_of(settings))
    assert learner._captured is not None
    (graph,) = [kind.graph for kind in learner._captured._kinds.values() if kind.graph is not None]
    learner.noise.set_state(state)
    for each, place in graph.places:
        assert torch.equal(place.cpu(), each.draw(each.shape))
