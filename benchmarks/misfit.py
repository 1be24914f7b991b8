"""What misfit within pairs costs, and what bears it or takes it away, on phantoms whose truth is known.

    python benchmarks/misfit.py --output build/misfit
    python benchmarks/misfit.py --output build/misfit --misfits 0 1 2 3 --ways plain shifts "shifts 3" network bent

Each seed is another rock and other first weights. A rock is the same at every misfit: only its FIB-SEM slices are bent
(`phantom.misfit_px`). Pairs are registered, cut into patches and trained on as the workflow does, and small networks
predict TXM slices that lie above all training slices. They are compared with what a FIB-SEM without noise would show
there, in which nothing is bent. The ways:

- `plain`: L1.
- `shifts`: L1 where each window fits best (`train.pixel_shift_px: 2`), `shifts 3` with 3 pixels.
- `network`: a second network, trained along, bends the prediction before L1, as in RegGAN (Kong et al. 2021, arXiv
  2110.06465) without its discriminator; its mean displacement is taken out as that of the shifts is. `network, adrift`
  is without that.
- `bent`: registration bends the FIB-SEM slices first (`register.bend_px`), then L1; `bent, shifts`: both.

`misfit.csv` in the output holds a row for each; what is in it already is not done again.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
import torch
from torch import Tensor, nn
from torch.nn import functional

from txm2sem_core import io
from txm2sem_core.config import PatchesSettings, PhantomSettings, RegisterSettings, TrainSettings, parse_settings
from txm2sem_core.families import Batch, Learner, learner_of
from txm2sem_core.families.feedforward import Feedforward
from txm2sem_core.families.losses import pixel_loss
from txm2sem_core.families.shifts import MEMORY
from txm2sem_core.io import PatchStore
from txm2sem_core.metrics import psnr, ssim
from txm2sem_core.patches import extract_patches
from txm2sem_core.phantom import make_phantom
from txm2sem_core.phantom.placing import MISFIT_REACH
from txm2sem_core.registration import register_pairs
from txm2sem_core.samples.raw_pairs import RawPair
from txm2sem_core.training.batches import epoch_batches
from txm2sem_core.training.schedules import build_scheduler

SHAPE, PAIR_EVERY = (64, 192, 192), 4
MISFITS = (0.0, 2.0, 3.0)
ROOM_PX = 14.0  # of shift and bends together, so that the rock about the field is the same at every misfit
BEND_PX, REACH_PX, SMOOTHNESS = 8.0, 8.0, 1.0
EPOCHS, DECAY = 6, 12
FIRST_TEST_Z = 50  # slices above; the last training pair lies at z 46 at most
CUT_PX = 12  # of the test slices' borders, which are not scored
WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "shifts": {"pixel_shift_px": 2},
    "shifts 3": {"pixel_shift_px": 3},
    "network": {},
    "network, adrift": {},
    "bent": {},
    "bent, shifts": {"pixel_shift_px": 2},
}

DEFAULT_WAYS = ("plain", "shifts", "network", "bent")


@dataclass(frozen=True)
class Rock:
    """A phantom, and the patches of its pairs."""

    raw: Path
    store: PatchStore

    def test_slices(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """TXM slices above all training slices, and the truth; [Y, X]."""
        truth = tifffile.imread(self.raw / "truth" / "sem.tif")
        files = sorted((self.raw / "txm_volume").iterdir())
        return [(io.read_image(files[z]), truth[z]) for z in range(FIRST_TEST_Z, len(files) - 2, 2)]


def phantom_of(seed: int, misfit: float) -> PhantomSettings:
    """The rock of a seed, whose FIB-SEM slices are bent by a misfit in pixels."""
    shift = ROOM_PX - MISFIT_REACH * misfit
    return PhantomSettings(shape=SHAPE, seed=seed, pair_every=PAIR_EVERY, misfit_px=misfit, max_shift_px=shift)


def prepared(seed: int, misfit: float, bend_px: float, folder: Path) -> Rock:
    """The phantom of a seed, registered and cut; what lies in the folder already is taken."""
    raw, settings = folder / f"rock{seed}-{misfit:g}", phantom_of(seed, misfit)
    if not raw.exists():
        make_phantom(settings, raw)
    patches = folder / f"patches{seed}-{misfit:g}-{bend_px:g}"
    if not patches.exists():
        pairs = [
            RawPair(
                f"{int(row.pair):03d}",
                int(row.z),
                *(raw / f"{kind.lower()}/{kind}{int(row.pair):03d}.tif" for kind in ("TXM", "SEM")),
                charge=raw / f"charge/charge{int(row.pair):03d}.tif",
            )
            for row in io.read_csv(raw / "pairs.csv").itertuples()
        ]
        registered = folder / f"registered{seed}-{misfit:g}-{bend_px:g}"
        bend = {"bend_px": bend_px} if bend_px else {}
        register_pairs(pairs, parse_settings(RegisterSettings, "{}", **bend), registered)
        chosen = PatchesSettings(size_px=64, train=240, evaluation_count=4, min_uncharged=0.5)
        extract_patches(registered, None, chosen, settings.voxel_size_nm, patches)
    return Rock(raw, io.read_patch_store(patches).in_memory())


class Bending(nn.Module):
    """A network that says by how much a prediction must be bent to fit a FIB-SEM patch, by at most `REACH_PX`."""

    def __init__(self) -> None:
        super().__init__()
        widths = (2, 16, 32, 32)
        layers: list[nn.Module] = []
        for given, made in itertools.pairwise(widths):
            layers += [nn.Conv2d(given, made, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(widths[-1], 32, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(32, 2, 3, padding=1)]
        self.layers = nn.Sequential(*layers)
        last = self.layers[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.normal_(last.weight, std=1e-3)
        nn.init.zeros_(last.bias)

    def forward(self, predicted: Tensor, sem: Tensor) -> Tensor:
        """Displacements `[B, 2, Y, X]` (x, y) in pixels."""
        coarse = REACH_PX * torch.tanh(self.layers(torch.cat([predicted, sem], dim=1)))
        return functional.interpolate(coarse, size=sem.shape[2:], mode="bilinear", align_corners=False)


def bent(image: Tensor, displacement: Tensor) -> Tensor:
    """An image `[B, 1, Y, X]` read at each pixel's place and displacement."""
    height, width = image.shape[2:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    at = torch.stack([x, y]).to(image) + displacement
    size = torch.tensor([width, height]).view(1, 2, 1, 1)
    grid = ((2 * at + 1) / size - 1).permute(0, 2, 3, 1)
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=False)


class WithNetwork(Feedforward):
    """Feedforward whose prediction is bent by a second network before the pixel loss; both learn from it."""

    def __init__(self, settings: TrainSettings, seed: int, *, centred: bool) -> None:
        super().__init__(settings)
        torch.manual_seed(seed)
        self.centred, self.mean = centred, torch.zeros(2)
        self.bending = Bending()
        self.optimiser = torch.optim.Adam(self.bending.parameters(), lr=1e-3)

    def step(self, learner: Learner, batch: Batch, update_generator: bool) -> dict[str, Tensor]:
        """Take a step of both."""
        self.optimiser.zero_grad()
        terms = super().step(learner, batch, update_generator)
        self.optimiser.step()
        return terms

    def content_loss(self, learner: Learner, predicted: Tensor, batch: Batch) -> Tensor:
        """L1 of the bent prediction, and the displacement's squared gradient."""
        field = self.bending(predicted, batch.sem)
        steps = (field.diff(dim=2).square().mean() + field.diff(dim=3).square().mean()) / 2
        if self.centred:
            self.mean = MEMORY * self.mean + (1 - MEMORY) * field.detach().mean(dim=(0, 2, 3))
            field = field - self.mean.view(1, 2, 1, 1)
        content = pixel_loss("L1", bent(predicted, field), batch.sem, self.counted(learner, batch))
        return content + SMOOTHNESS * steps


def trained(way: str, store: PatchStore, seed: int) -> tuple[Learner, float]:
    """Networks after all epochs, and the seconds that they took."""
    settings = parse_settings(
        TrainSettings,
        "{}",
        family="feedforward",
        generator={"name": "unet_32", "width": 16},
        batch_size=8,
        optimiser={"learning_rate": 1e-3},
        schedule={"epochs": EPOCHS, "decay_epochs": DECAY},
        **WAYS[way],
    )
    learner = learner_of(settings, seed, torch.device("cpu"))
    if way.startswith("network"):
        learner = WithNetwork(settings, seed, centred=way == "network").learner(seed, torch.device("cpu"))
    scheduler = build_scheduler(learner.optimiser, settings.schedule)
    start = time.process_time()
    learner.generator.train()
    for epoch in range(settings.schedule.total_epochs):
        for batch in epoch_batches(store, settings, seed, epoch):
            learner.step(batch)
        scheduler.step()
    learner.generator.eval()
    return learner, time.process_time() - start


def scores(learner: Learner, rock: Rock) -> dict[str, float]:
    """Mean PSNR and SSIM of the test slices beside the truth."""
    found = []
    inner = (slice(CUT_PX, -CUT_PX),) * 2
    for txm, truth in rock.test_slices():
        given = torch.from_numpy(rock.store.txm_range.to_unit(txm[None]))[None]
        with torch.no_grad():
            predicted = rock.store.sem_range.from_unit(learner.generator(given)[0, 0].numpy())
        images = predicted[inner], truth[inner]
        found.append((psnr(*images, data_range=255.0), ssim(*images, data_range=255.0)))
    return dict(zip(("psnr", "ssim"), np.mean(found, axis=0).tolist(), strict=True))


def measure(output: Path, misfits: Sequence[float], ways: Sequence[str], seeds: Sequence[int]) -> pd.DataFrame:
    """The table, a row for each, which grows in the file as they are done."""
    output.mkdir(parents=True, exist_ok=True)
    file = output / "misfit.csv"
    rows = io.read_csv(file).to_dict("records") if file.exists() else []
    done = {(row["seed"], row["misfit_px"], row["way"]) for row in rows}
    for seed in seeds:
        for misfit in misfits:
            for way in ways:
                if (seed, misfit, way) in done:
                    continue
                rock = prepared(seed, misfit, BEND_PX if way.startswith("bent") else 0.0, output)
                learner, seconds = trained(way, rock.store, seed)
                row = {"seed": seed, "misfit_px": misfit, "way": way, **scores(learner, rock), "seconds": seconds}
                row["training_pairs"] = rock.store.of_split("train")["pair"].nunique()
                rows.append(row)
                print(row, flush=True)
                pd.DataFrame(rows).to_csv(file, index=False)
    return pd.DataFrame(rows)


def main() -> None:
    """Read the arguments, and print the table of means over seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--misfits", type=float, nargs="+", default=list(MISFITS))
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(DEFAULT_WAYS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = measure(arguments.output, arguments.misfits, arguments.ways, arguments.seeds)
    for score in ("psnr", "ssim"):
        print(score, table.pivot_table(values=score, index="way", columns="misfit_px").round(3), sep="\n")


if __name__ == "__main__":
    main()
