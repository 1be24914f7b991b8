"""Whether samples of a flow become better rock where they are led to explain the measured TXM as they are drawn.

    snakemake --configfile config/benchmarks/pairs-to-volume.yaml --cores 2 --resources gpu=1
    python benchmarks/guidance.py results/pairs-to-volume/rock10 --output build/guidance

Draws the same sample, by the same noise, of a volume that a run left with a model `flow`. After each velocity, what the
state would become is moved towards a volume that shows the measured TXM: `moves` steps down the squared residual of the
forward model that the run learnt (`metrics/forward_model.json`), and the state goes on with the noise that it had.
That is Zhu et al. 2023 (DiffPIR, arXiv 2305.08995) with steps in place of its proximal map, which is as Chung et al.
2022 (arXiv 2209.14687) without the gradient through the network. All slices are drawn at once, as the TXM's blur along
z ties them together. `after` moves the finished sample instead, and nothing during the flow.

Printed is what the workflow would measure of each volume. `guidance.csv` in the output holds the rows.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pairs_to_volume import errors_of
from scipy import ndimage
from torch import Tensor

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.families.voxel_noise import VoxelNoise
from txm2sem_core.inference import Predictor
from txm2sem_core.inference.coherence import hold_together
from txm2sem_core.io.field_of_view import FieldOfView
from txm2sem_core.metrics.forward_model import ForwardModel
from txm2sem_core.networks import Flow
from txm2sem_core.networks.flow import velocity_input
from txm2sem_core.networks.total_variation import flattened

Volume = NDArray[np.float32]
STEPS = 6  # Euler steps: as many velocities as three steps of the midpoint method have
WAYS = {"none": (0, 0), "1 move": (1, 0), "4 moves": (4, 0), "16 moves": (16, 0), "after, 16 moves": (0, 16)}
COHERENCES = {"auto": None, "independent": 0.0}


class TxmPull:
    """Moves a FIB-SEM volume towards one that shows the measured TXM."""

    def __init__(self, model: ForwardModel, txm: Volume) -> None:
        self.model, self.txm = model, txm
        self.slopes = np.gradient(np.array(model.values), np.array(model.knots))
        self.steepest = float(np.square(self.slopes).max())

    def blurred(self, volume: Volume) -> Volume:
        """By the TXM's point-spread function, which is its own transpose but at the faces."""
        return np.asarray(ndimage.gaussian_filter(volume, self.model.sigma_px, mode="nearest", truncate=4))

    def residual(self, volume: Volume) -> Volume:
        """The measured TXM minus what the volume would show."""
        mapped = np.interp(volume, self.model.knots, self.model.values).astype(np.float32)
        return self.txm - self.blurred(mapped)

    def moved(self, volume: Volume, moves: int) -> Volume:
        """The volume after so many steps, each no longer than the steepest part of the map allows."""
        for _ in range(moves):
            slope = np.interp(volume, self.model.knots, self.slopes).astype(np.float32)
            volume = volume + slope * self.blurred(self.residual(volume)) / np.float32(self.steepest)
        return volume


class Sampler:
    """Draws a whole volume at once."""

    def __init__(self, predictor: Predictor, txm: io.Volume, pull: TxmPull) -> None:
        network = predictor.generator
        assert isinstance(network, Flow)
        self.network, self.predictor, self.pull = network, predictor, pull
        depth, context = txm.shape[0], predictor.context
        unit = predictor.txm_range.to_unit(np.stack(list(txm.slices())))
        near = [np.clip(np.arange(z - context, z + context + 1), 0, depth - 1) for z in range(depth)]
        self.given = [torch.from_numpy(unit[own])[None] for own in near]
        with torch.no_grad():
            self.expected = [network.mean(given) for given in self.given]

    def sample(self, noise: VoxelNoise, moves: int, after: int) -> Volume:
        """FIB-SEM grey levels [Z, Y, X]."""
        network = self.network
        scale, shape = network.residual_scale, self.given[0].shape[2:]
        states = [torch.from_numpy(noise.plane(z, 0, 0, *shape))[None, None] for z in range(len(self.given))]
        for step in range(STEPS):
            time, end = step / STEPS, (step + 1) / STEPS
            slopes = [self.velocity(z, state, time) for z, state in enumerate(states)]
            # what a state would become, and the noise that it began with
            made = [state + (1 - time) * slope for state, slope in zip(states, slopes, strict=True)]
            began = [state - time * slope for state, slope in zip(states, slopes, strict=True)]
            if moves:
                images = [mean + scale * one for mean, one in zip(self.expected, made, strict=True)]
                pulled = self.pulled(images, moves)
                made = [(one - mean) / scale for one, mean in zip(pulled, self.expected, strict=True)]
            states = [(1 - end) * noise_of + end * one for noise_of, one in zip(began, made, strict=True)]
        images = [mean + scale * one for mean, one in zip(self.expected, states, strict=True)]
        finished = [network.mapped(flattened(image, network.flatness)) for image in images]
        return self.grey(self.pulled(finished, after) if after else finished)

    def velocity(self, z: int, state: Tensor, time: float) -> Tensor:
        """Of the state of a slice."""
        given = velocity_input(state, self.expected[z], torch.full_like(state, time), self.given[z])
        with torch.no_grad():
            return self.network.velocity(given)

    def grey(self, images: list[Tensor]) -> Volume:
        """From the unit range to grey levels."""
        return self.predictor.sem_range.from_unit(np.stack([image[0, 0].numpy() for image in images]))

    def pulled(self, images: list[Tensor], moves: int) -> list[Tensor]:
        """Images in the unit range, moved as a volume."""
        moved = self.predictor.sem_range.to_unit(self.pull.moved(self.grey(images), moves))
        return [torch.from_numpy(plane)[None, None] for plane in moved]


def measured(volume: Volume, sample: Path, folder: Path, pull: TxmPull) -> dict[str, float]:
    """What the workflow measures of a volume, and its residual against the TXM."""
    size = io.read_patch_store(sample / "patches").voxel_size_nm
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / "volume.ome.zarr"
    grey = np.clip(np.rint(volume), 0, 255).astype(np.uint8)
    io.write_ome_zarr(path, iter(grey), grey.shape, np.uint8, size)
    residual = float(np.sqrt(np.mean(np.square(pull.residual(grey.astype(np.float32)))))) / pull.model.unit
    return {**errors_of(path, sample, folder), "residual / units": residual}


def main() -> None:
    """Draw and measure what is not in the CSV yet, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples", type=Path, nargs="+", help="folders of samples in a folder of results")
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.output.mkdir(parents=True, exist_ok=True)
    file = given.output / "guidance.csv"
    rows = pd.read_csv(file).to_dict("records") if file.exists() else []
    done = {(row["sample"], row["noise"], row["way"]) for row in rows}
    for sample in given.samples:
        predictor = Predictor(load_model(sample / "models" / "flow" / "seed0"), PredictSettings(), "cpu")
        txm = io.open_volume(sample / "raw" / "txm_volume")
        hold_together(predictor, FieldOfView(txm), txm.voxel_size_nm or (None,) * 3, sample.name)
        assert predictor.noise is not None
        model = ForwardModel.from_dict(io.read_json(sample / "metrics" / "forward_model.json"))
        pull = TxmPull(model, np.stack(list(txm.slices())).astype(np.float32))
        sampler = Sampler(predictor, txm, pull)
        for noise_name, coherence in COHERENCES.items():
            noise = predictor.noise if coherence is None else VoxelNoise(1, coherence)
            for way, (moves, after) in WAYS.items():
                if (sample.name, noise_name, way) in done:
                    continue
                found = measured(sampler.sample(noise, moves, after), sample, given.output / "made", pull)
                rows.append({"sample": sample.name, "noise": noise_name, "way": way, **found})
                pd.DataFrame(rows).to_csv(file, index=False)
                print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    print(table.groupby(["noise", "way"], sort=False).mean(numeric_only=True).T.round(4).to_string())


if __name__ == "__main__":
    main()
