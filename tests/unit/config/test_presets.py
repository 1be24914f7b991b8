"""What `preset: paper` does and `preset: corrected` does not, one test for each behaviour that tells the two apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_data import make_store
from torch import Tensor, nn

from txm2sem_core import io
from txm2sem_core.config import Config, TrainSettings, load_config
from txm2sem_core.families import Batch, Learner, family_of, learner_of
from txm2sem_core.networks import build_generator, inference
from txm2sem_core.patches.downsample import downsample
from txm2sem_core.training import train_model
from txm2sem_core.training.batches import epoch_batches

PRESETS = ("paper", "corrected")
CPU = torch.device("cpu")
SMALL = {
    "feedforward": {"name": "resnet_1blocks", "width": 4},
    "pix2pix": {"name": "resnet_1blocks", "width": 4},
    "srgan": {"name": "sr_resnet_1blocks", "width": 4},
}


def config(preset: str, family: str = "feedforward", **values: Any) -> Config:
    generator = SMALL[family] | values.pop("generator", {})
    discriminator = {"name": "n_layers", "layers": 1, "width": 4}
    own = {"family": family, "generator": generator, "discriminator": discriminator, **values}
    return load_config({"preset": preset, "variants": {"one": own}})


def variant(preset: str, family: str = "feedforward", **values: Any) -> TrainSettings:
    return config(preset, family, **values).variant("one")


def noise(count: int, size: int = 32, seed: int = 0) -> Tensor:
    return torch.rand((count, 1, size, size), generator=torch.Generator().manual_seed(seed)) * 2 - 1


def has(network: nn.Module, kind: type[nn.Module]) -> bool:
    return any(isinstance(module, kind) for module in network.modules())


def drops(network: nn.Module) -> bool:
    return any(isinstance(module, nn.Dropout) and module.p > 0 for module in network.modules())


def both(outcome: Any) -> tuple[Any, Any]:
    """What `outcome` gives for paper, and for corrected."""
    return outcome("paper"), outcome("corrected")


def test_at_test_time_the_prediction_depends_on_what_else_is_shown_and_on_chance() -> None:
    def differs(preset: str) -> tuple[bool, bool]:
        settings = variant(preset, "pix2pix", generator={"dropout": True})
        generator = build_generator(**family_of(settings).generator_arguments(), seed=0)
        one, other = noise(1), noise(1, seed=5) * 3
        with inference(generator, settings.inference_mode):
            torch.manual_seed(0)
            alone = generator(one)
            torch.manual_seed(0)
            beside = generator(torch.cat([one, other]))[:1]
            again = generator(one)
        return not torch.allclose(alone, beside, atol=1e-5), not torch.allclose(alone, again, atol=1e-5)

    assert both(differs) == ((True, True), (False, False))


def test_norm_dropout_and_initialisation_of_feedforward_are_fixed() -> None:
    asked = {"norm": "instance", "dropout": True, "init": "normal", "init_gain": 0.5}

    def built(preset: str) -> tuple[bool, bool, bool]:
        network = build_generator(**family_of(variant(preset, generator=asked)).generator_arguments(), seed=0)
        widest = max((m.weight for m in network.modules() if isinstance(m, nn.Conv2d)), key=torch.numel)
        return has(network, nn.InstanceNorm2d), drops(network), float(widest.detach().std()) > 0.1

    assert both(built) == ((False, False, False), (True, True, True))


def test_srgan_has_dropout() -> None:
    def dropout(preset: str) -> bool:
        settings = variant(preset, "srgan", factor=2)
        return drops(build_generator(**family_of(settings).generator_arguments(), seed=0))

    assert both(dropout) == (True, False)


def test_downsampling_aliases_and_shifts() -> None:
    """A line one pixel wide is lost or kept whole, according to where it lies; an average sees half of it."""
    y = np.zeros((1, 16, 16), dtype=np.float32)
    even, odd = y.copy(), y.copy()
    even[..., 4], odd[..., 5] = 1, 1

    def seen(preset: str) -> tuple[float, float]:
        settings = config(preset).downsample
        found = [downsample(image, 2, settings, 1.0, np.random.default_rng(0)).max() for image in (even, odd)]
        return float(found[0]), float(found[1])

    assert both(seen) == ((1.0, 0.0), (0.5, 0.5))


def test_the_jacobian_penalty_grows_with_the_patchs_area() -> None:
    def growth(preset: str) -> float:
        learner = learner_of(variant(preset, z_penalty={"projection": 1.0}), 0, CPU)
        learner.generator = nn.Conv2d(1, 1, 1)  # type: ignore[assignment]  # the same gain at every size
        terms = []
        for size in (16, 64):
            x = noise(2, size)
            terms.append(float(learner.step(Batch(x, x.clone(), torch.ones_like(x)))["loss_z_projection"]))
        return terms[1] / terms[0]

    paper, corrected = both(growth)
    assert paper == pytest.approx(16, rel=0.01)
    assert corrected == pytest.approx(1, rel=0.01)


def test_the_critic_has_batch_norm_and_no_gradient_penalty() -> None:
    def critic(preset: str) -> tuple[bool, bool]:
        learner = learner_of(variant(preset, "pix2pix", objective="wgangp"), 0, CPU)
        assert learner.discriminator is not None
        terms = learner.step(Batch(noise(2), noise(2, seed=1), torch.ones((2, 1, 32, 32))), update_generator=False)
        return has(learner.discriminator, nn.BatchNorm2d), float(terms["loss_gradient_penalty"]) > 0

    assert both(critic) == ((True, False), (False, True))


def test_the_generator_learns_at_every_step_of_the_critic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_store(tmp_path / "p", train=10, evaluation=1)
    seen: list[bool] = []
    original = Learner.step

    def spied(self: Learner, batch: Batch, update_generator: bool = True) -> dict[str, Tensor]:
        seen.append(update_generator)
        return original(self, batch, update_generator)

    monkeypatch.setattr(Learner, "step", spied)

    def learning(preset: str) -> float:
        seen.clear()
        schedule = {"epochs": 1, "decay_epochs": 0}
        settings = variant(preset, "pix2pix", objective="wgangp", batch_size=1, schedule=schedule)
        train_model(tmp_path / "p", settings, 0, tmp_path / preset, device="cpu")
        return sum(seen) / len(seen)

    assert both(learning) == (1.0, 0.2)


def test_a_batch_is_one_patch_and_patches_are_not_turned(tmp_path: Path) -> None:
    store = make_store(tmp_path, train=12)

    def shown(preset: str) -> tuple[int, bool]:
        settings = variant(preset)
        plain = [store.sem_patch(row.pair, row.y, row.x) for row in store.of_split("train").itertuples()]
        expected = {patch.tobytes() for patch in plain} | {patch[:, ::-1].tobytes() for patch in plain}
        batches = list(epoch_batches(store, settings, 0, 0))
        seen = [np.rint(store.sem_range.from_unit(p[0].numpy())).astype(np.uint8) for b in batches for p in b.sem]
        return len(batches[0].sem), {patch.tobytes() for patch in seen} <= expected

    assert both(shown) == ((1, True), (4, False))


def test_charged_pixels_count() -> None:
    def changes(preset: str) -> bool:
        losses = []
        for damage in (0.0, 5.0):
            x, sem = noise(1), noise(1, seed=1)
            sem[..., :4] = damage
            mask = torch.ones_like(sem)
            mask[..., :4] = 0
            losses.append(float(learner_of(variant(preset), 0, CPU).step(Batch(x, sem, mask))["loss_pixel"]))
        return losses[0] != losses[1]

    assert both(changes) == (True, False)


def test_the_last_epochs_weights_are_kept(tmp_path: Path) -> None:
    """A rate that ruins what the first epoch has learnt."""
    make_store(tmp_path / "p", train=8, evaluation=1)

    def kept(preset: str) -> tuple[int, int]:
        schedule = {"policy": "constant", "epochs": 4}
        settings = variant(preset, schedule=schedule, optimiser={"learning_rate": 0.3})
        train_model(tmp_path / "p", settings, 0, tmp_path / preset, device="cpu")
        history = io.read_csv(tmp_path / preset / "history.csv")
        best = int(history["epoch"].iloc[int(history["validation_psnr"].argmax())])
        return int(io.read_json(tmp_path / preset / "model.json")["selected"]["epoch"]), best

    (paper, _), (corrected, best) = both(kept)
    assert (paper, corrected) == (4, best)
    assert best < 4


def test_validation_and_test_patches_overlap() -> None:
    """What the two ways do is tested in test_patches.py."""
    assert both(lambda preset: config(preset).patches.evaluation) == ("random", "grid")
