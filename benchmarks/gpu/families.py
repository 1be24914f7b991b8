"""(c) Each generator and objective: three training steps and a plane on the CPU, against the device, and its waits.

Weights and noise come from the CPU's generators, so that both devices start from the same numbers. float32 without TF32
first, then half precision and channels last. `waits`: calls in a step of which PyTorch says that they wait for the GPU.
"""

from __future__ import annotations

import gc
import warnings
from typing import Any

import numpy as np
import torch
from common import DEVICE, ON_GPU, TINY, left, save, say

from txm2sem_core.checkpoint import LoadedModel
from txm2sem_core.config import ComputeSettings, PredictSettings, TrainSettings, parse_settings
from txm2sem_core.families import learner_of
from txm2sem_core.families.batch import Batch
from txm2sem_core.inference import Predictor
from txm2sem_core.networks import Baseline, build_generator

CPU = torch.device("cpu")
STEPS = 3
SIDE = 64
OTHER = "bfloat16" if not ON_GPU else "float32"  # in a trial without a GPU there is something to compare, too
G = "generator"


def gan(name: str, **more: Any) -> dict[str, Any]:
    return {"family": "pix2pix", G: {"name": name}, **more}


CASES: dict[str, dict[str, Any]] = {
    "linearfilt": {"family": "feedforward", G: {"name": "linearfilt"}},
    "gammafilt": {"family": "feedforward", G: {"name": "gammafilt"}},
    "resnet_6blocks L1": {"family": "feedforward", G: {"name": "resnet_6blocks"}},
    "resnet_9blocks L2, instance": {
        "family": "feedforward",
        "pixel_loss": "L2",
        G: {"name": "resnet_9blocks", "norm": "instance"},
    },
    "resnet_2blocks, no norm, context 1": {
        "family": "feedforward",
        "context": 1,
        G: {"name": "resnet_2blocks", "norm": "none"},
    },
    "unet_32 vanilla, basic": gan("unet_32"),
    "unet_64 lsgan, pixel": gan("unet_64", objective="lsgan", discriminator={"name": "pixel"}),
    "unet_64 wgangp, critic 2": gan("unet_64", objective="wgangp", critic_steps=2, discriminator={"norm": "none"}),
    "unet_32 R1, spectral, n_layers 2": gan(
        "unet_32", r1_weight=1.0, discriminator={"name": "n_layers", "layers": 2, "spectral_norm": True}
    ),
    "unet_128 vanilla, instance": gan(
        "unet_128", discriminator={"norm": "instance"}, **{G: {"name": "unet_128", "norm": "instance"}}
    ),
    "srcnn x2": {"family": "srcnn", "factor": 2, G: {"name": "sr_resnet_6blocks"}},
    "srcnn x4, average": {"family": "srcnn", "factor": 4, "ema_decay": 0.9, G: {"name": "sr_resnet_6blocks"}},
    "srcnn x8": {"family": "srcnn", "factor": 8, G: {"name": "sr_resnet_2blocks"}},
    "srgan x4": {
        "family": "srgan",
        "factor": 4,
        "discriminator": {"conditional": False},
        G: {"name": "sr_resnet_9blocks"},
    },
    "srgan x2 wgangp, conditional": {
        "family": "srgan",
        "factor": 2,
        "objective": "wgangp",
        "discriminator": {"norm": "none"},
        G: {"name": "sr_resnet_2blocks"},
    },
    "repair": {"family": "repair", G: {"name": "unet_64"}},
    "segmentation": {"family": "segmentation", G: {"name": "resnet_6blocks"}},
    "resnet, projection": {"family": "feedforward", G: {"name": "resnet_2blocks"}, "z_penalty": {"projection": 0.01}},
    "resnet, projection, sum": {
        "family": "feedforward",
        G: {"name": "resnet_2blocks"},
        "z_penalty": {"projection": 1e-4, "reduction": "sum"},
    },
    "resnet, perturbation": {
        "family": "feedforward",
        G: {"name": "resnet_2blocks"},
        "z_penalty": {"perturbation": 0.01, "every": 1},
    },
    "unet, stack": {"family": "feedforward", G: {"name": "unet_32"}, "z_penalty": {"stack": 0.01, "every": 2}},
    "srgan x2, perturbation": {
        "family": "srgan",
        "factor": 2,
        G: {"name": "sr_resnet_2blocks"},
        "z_penalty": {"perturbation": 0.01, "every": 1},
    },
    "dropout, perturbation": gan(
        "unet_64", z_penalty={"perturbation": 0.01, "every": 1}, **{G: {"name": "unet_64", "dropout": True}}
    ),
}
RANDOM = ("dropout, perturbation",)  # dropout draws on the device: finite is all that can be asked


def settings_of(case: dict[str, Any], compute: dict[str, Any]) -> TrainSettings:
    values = {key: value for key, value in case.items() if key not in (G, "discriminator")}
    generator = {"width": 8, **case[G]}
    if generator["name"] in ("linearfilt", "gammafilt"):
        generator.pop("width")
    discriminator = {"width": 8, **case.get("discriminator", {})}
    return parse_settings(
        TrainSettings, "{}", generator=generator, discriminator=discriminator, compute=compute, **values
    )


def batch(settings: TrainSettings, number: int) -> Batch:
    rng = torch.Generator().manual_seed(number)
    factor, side = settings.factor, 128 if settings.generator.name == "unet_128" else SIDE
    channels = 2 * settings.context + 1
    sem = torch.nn.functional.avg_pool2d(torch.rand((2, 1, side + 4, side + 4), generator=rng) * 2 - 1, 5, 1)
    txm = -torch.nn.functional.avg_pool2d(sem, factor).repeat(1, channels, 1, 1)
    txm += 0.05 * torch.randn(txm.shape, generator=rng)
    mask = torch.ones_like(sem, dtype=torch.bool)
    mask[:, :, :6, :6] = False
    stack = torch.cat([txm, txm[:, -1:].flip(2)], dim=1)
    if settings.family == "repair":
        damage = torch.zeros_like(mask)
        damage[:, :, 20:40, 20:40] = True
        from txm2sem_core.families.repair import repair_input

        return Batch(repair_input(txm, sem, damage), sem, mask, judged=damage & mask)
    classes = (sem > 0.05).to(torch.uint8) + (sem > 0.15).to(torch.uint8)
    return Batch(txm, sem, mask, stack=stack if settings.z_penalty.stack else None, classes=classes)


def train(case: dict[str, Any], compute: dict[str, Any], device: torch.device, watch: bool = False) -> dict[str, Any]:
    settings = settings_of(case, compute)
    learner = learner_of(settings, 0, device)
    learner.generator.train()
    torch.manual_seed(1)
    found: dict[str, Any] = {"losses": [], "waits": {}}
    for number in range(STEPS):
        update = (number + 1) % settings.critic_steps == 0 or learner.discriminator is None
        if watch and ON_GPU and number == STEPS - 1:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                torch.cuda.set_sync_debug_mode("warn")
                terms = learner.step(batch(settings, number), update)
                torch.cuda.set_sync_debug_mode("default")
            for one in told:
                if "synchroniz" in str(one.message):
                    place = f"{one.filename.rsplit('/', 2)[-1]}:{one.lineno}"
                    found["waits"][place] = found["waits"].get(place, 0) + 1
        else:
            terms = learner.step(batch(settings, number), update)
        found["losses"].append({name: float(value) for name, value in terms.items()})
        if number == 0:
            gradients = [
                p.grad.detach().float().cpu().flatten() for p in learner.generator.parameters() if p.grad is not None
            ]
            found["gradient"] = torch.cat(gradients) if gradients else torch.zeros(1)
    learner.generator.eval()
    with torch.no_grad():
        found["made"] = learner.kept_generator.eval()(batch(settings, 99).txm.to(device)).float().cpu()
    return found


def relative(found: list[dict[str, float]], expected: list[dict[str, float]]) -> float:
    """The greatest difference of a loss, as a share of it (of at least 0.01)."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        for name, value in other.items():
            if name in one:
                worst = max(worst, abs(one[name] - value) / max(abs(value), 0.01))
            else:
                worst = float("inf")
    return worst if np.isfinite(worst) else float("inf")


def compared(case: dict[str, Any], ways: dict[str, dict[str, Any]], name: str) -> dict[str, Any]:
    expected = train(case, {}, CPU)
    row: dict[str, Any] = {}
    for way, compute in ways.items():
        try:
            made = train(case, compute, DEVICE, watch=way == "float32")
            if name in RANDOM:
                finite = all(np.isfinite(v) for step in made["losses"] for v in step.values())
                row[way] = {"loss": 0.0 if finite else float("inf"), "gradient": 0.0, "made": 0.0}
            else:
                gradient = float(
                    (made["gradient"] - expected["gradient"]).norm() / expected["gradient"].norm().clamp_min(1e-12)
                )
                row[way] = {
                    "loss_first": relative(made["losses"][:1], expected["losses"][:1]),
                    "loss": relative(made["losses"], expected["losses"]),
                    "gradient": gradient,
                    "made": float((made["made"] - expected["made"]).abs().max()),
                }
            if made["waits"]:
                row[way]["waits"] = made["waits"]
        except Exception as error:  # the others go on
            row[way] = {"error": f"{type(error).__name__}: {str(error)[:400]}"}
    return row


def predictor_of(
    name: str, options: dict[str, Any], device: str, compute: dict[str, Any], tile: int, mode: str
) -> Predictor:
    generator = build_generator(name, seed=0, **options)
    if isinstance(generator, Baseline):
        ramp = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
        size = 8 * generator.factor
        generator.fit(ramp, torch.nn.functional.interpolate(ramp, (size, size), mode="bicubic"))
    else:
        rng = torch.Generator().manual_seed(1)
        for module in generator.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=rng)
                module.running_var.uniform_(0.5, 1.5, generator=rng)
            elif isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
                torch.nn.init.kaiming_normal_(module.weight, generator=rng)
    unit = {"low": -1.0, "high": 1.0}
    description = {
        "generator": {"name": name, **options},
        "normalisation": {"txm": unit, "sem": unit},
        "sem_dtype": "uint16",
        "inference_mode": mode,
    }
    settings = PredictSettings(tile_px=tile, overlap_px=16, compute=ComputeSettings(**compute))
    return Predictor(LoadedModel(generator.eval(), description), settings, device)


PREDICTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "constant": ("constant", {}, "evaluation"),
    "identity": ("identity", {}, "evaluation"),
    "pointwise": ("pointwise", {}, "evaluation"),
    "bicubic x2": ("bicubic", {"factor": 2}, "evaluation"),
    "linearfilt": ("linearfilt", {}, "evaluation"),
    "gammafilt": ("gammafilt", {}, "evaluation"),
    "resnet_6blocks": ("resnet_6blocks", {"width": 16}, "evaluation"),
    "resnet_9blocks, instance": ("resnet_9blocks", {"width": 8, "norm": "instance"}, "evaluation"),
    "resnet_2blocks, batch statistics": ("resnet_2blocks", {"width": 8}, "batch_statistics"),
    "unet_32": ("unet_32", {"width": 8}, "evaluation"),
    "unet_128": ("unet_128", {"width": 8}, "evaluation"),
    "sr_resnet_6blocks x2": ("sr_resnet_6blocks", {"width": 16, "factor": 2}, "evaluation"),
    "sr_resnet_6blocks x4": ("sr_resnet_6blocks", {"width": 16, "factor": 4}, "evaluation"),
}


def planes(ways: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Of each network a plane on the CPU, and on the device whole and by tiles; differences as a share of the spread."""
    found: dict[str, Any] = {}
    plane = np.random.default_rng(0).uniform(-1, 1, (1, 150, 170)).astype(np.float32)
    for label, (name, options, mode) in PREDICTED.items():
        expected = predictor_of(name, options, "cpu", {}, 0, mode).predict_plane(plane)
        spread, row = max(float(expected.std()), 1e-6), {}
        for way, compute in ways.items():
            if compute.get("precision", "float32") != "float32" and name in (
                "constant",
                "identity",
                "pointwise",
                "bicubic",
            ):
                continue
            try:
                whole = predictor_of(name, options, DEVICE.type, compute, 0, mode).predict_plane(plane)
                tiled = predictor_of(name, options, DEVICE.type, compute, 64, mode).predict_plane(plane)
                rms = float(np.sqrt(np.square(whole - expected).mean())) / spread
                row[way] = {
                    "whole": float(np.abs(whole - expected).max()) / spread,
                    "whole_rms": rms,
                    "tiled": float(np.abs(tiled - whole).max()) / spread,
                }
            except Exception as error:
                row[way] = {"error": f"{type(error).__name__}: {str(error)[:400]}"}
        found[label] = row
    return found


def main() -> None:
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.set_num_threads(2 if TINY else 4)
    ways: dict[str, dict[str, Any]] = {
        "float32": {},
        "float32, channels last": {"channels_last": True},
        "bfloat16": {"precision": "bfloat16"},
    }
    if ON_GPU:
        ways |= {
            "float16": {"precision": "float16"},
            "bfloat16, channels last": {"precision": "bfloat16", "channels_last": True},
        }
    found: dict[str, Any] = {"training": {}, "planes": {}}
    found["planes"] = planes(ways)
    save("c_families", found)
    for name, case in CASES.items():
        found["training"][name] = compared(case, ways, name)
        say(name, found["training"][name])
        save("c_families", found)
        gc.collect()
    # with TF32, as a user has it
    if ON_GPU:
        torch.backends.cudnn.allow_tf32 = True
        found["tf32"] = {
            name: compared(CASES[name], {"tf32": {}}, name)
            for name in ("resnet_6blocks L1", "unet_32 vanilla, basic", "srgan x4", "resnet, perturbation")
        }
    if left() > 45:
        compiled = {"compiled": {"compile": True}}
        some = ["srcnn x2"] if TINY else ["srcnn x2", "unet_32 vanilla, basic", "resnet_6blocks L1"]
        found["compiled"] = {name: compared(CASES[name], compiled, name) for name in some if left() > 30}
    save("c_families", found)
    say(found.get("compiled"))
    errors = [
        1
        for rows in (found["training"], found["planes"])
        for row in rows.values()
        for one in row.values()
        if "error" in one
    ]
    raise SystemExit(1 if errors else 0)


if __name__ == "__main__":
    main()
