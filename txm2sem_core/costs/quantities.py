"""What the costs of a job are reckoned by: the sizes of its sample, its variant and its threads."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING

from txm2sem_core.config import Config, TrainSettings
from txm2sem_core.costs.sizes import Sizes

if TYPE_CHECKING:
    from txm2sem_core.costs.trial import NetworkCost

DRAWN_SHARE = 1.25  # slices that are drawn of a block over those that are wanted, as far as blurs usually reach
MIDDLE_PX = 1024**2  # `io.MIDDLE_PX` squared


@dataclass(frozen=True)
class Job:
    """A job of a rule.

    Attributes:
        kind: of rules that take the same, a key of `memory.MEMORY`.
        sizes: of its sample; of the largest one where it reads all.
        config: of its sample.
        samples: how many it reads.
        variant: its settings, if it is of one variant.
        models: that it predicts by.
        threads: that it may use.
    """

    kind: str
    sizes: Sizes
    config: Config
    samples: int = 1
    variant: TrainSettings | None = None
    models: int = 1
    threads: int = 1

    @property
    def runs(self) -> int:
        """Variants and seeds, of all of its samples."""
        return self.samples * sum(len(self.config.seeds_of(name)) for name in self.config.variants)

    @property
    def block_px(self) -> int:
        """Voxels of a block of the rock; of the whole volume where there are no blocks."""
        volume, side = self.sizes.volume, self.config.measure.rock.cube_px
        return math.prod(min(length, side or length) for length in volume) if volume else 0

    @property
    def blocks(self) -> int:
        """Blocks of a volume, of which no more are taken than fit into it."""
        if self.block_px == 0:
            return 0
        return max(min(self.config.measure.rock.blocks, self.sizes.voxels // self.block_px), 1)

    @property
    def axes(self) -> int:
        """Along which flow is solved in its volume; 0 where none is."""
        samples = self.variant is None or self.variant.rules.samples
        rock = self.config.measure.rock.of_volume(samples=samples)
        return len(rock.axes) if rock.flow else 0

    @property
    def steps(self) -> int:
        """Of its training."""
        if self.variant is None:
            return 0
        batches = -(-self.config.patches.train // self.variant.batch_size)
        return batches * self.variant.schedule.total_epochs

    @property
    def denoised_px(self) -> float:
        """Pixels of the training slices that its training denoises."""
        if self.variant is None or not self.variant.denoise:
            return 0.0
        return self.config.patches.split.train * self.sizes.pairs * self.sizes.plane_px

    @property
    def learns_txm(self) -> bool:
        """Whether its training ends by learning what the TXM shows, by which samples are guided."""
        return self.variant is not None and self.variant.rules.samples and self.kind == "train"

    @cached_property
    def network(self) -> NetworkCost | None:
        """What its variant's networks take; None where it trains none and predicts by none."""
        if self.variant is None or not self.variant.rules.trained or self.kind not in ("train", "predict"):
            return None
        from txm2sem_core.costs.network_cost import cost_of_variant  # which may load PyTorch

        return cost_of_variant(self.variant, self.config, self.sizes.scans)

    @property
    def guided(self) -> bool:
        """Whether it draws samples that the TXM guides, by blocks of slices."""
        draws = self.variant is not None and self.variant.rules.samples and self.kind == "predict"
        return draws and self.config.predict.guided_steps > 0

    @property
    def passes(self) -> float:
        """Of networks through a voxel that is predicted, over those that `NetworkCost.voxel_flops` counts."""
        if not self.guided or self.variant is None:
            return 1.0
        of_block = (1 + self.config.predict.guided_steps) * DRAWN_SHARE
        return of_block / (1 + 2 * self.variant.flow.steps)

    @property
    def network_flops(self) -> float:
        """Floating-point operations of its networks."""
        if self.network is None:
            return 0.0
        if self.kind == "train":
            return self.steps * self.network.step_flops
        return self.models * self.sizes.voxels * self.passes * self.network.voxel_flops


@dataclass(frozen=True)
class Linear:
    """A cost that is linear in what is known.

    Attributes:
        base: whatever the sizes.
        plane: for each pixel of a TXM slice.
        worker: for each thread.
        worker_plane: for each thread and pixel of a TXM slice.
        voxel: for each voxel of the TXM volume.
        further: for each voxel of further scans.
        further_plane: for each pixel of a slice of further scans.
        sought: for each voxel of the TXM volume that is held where planes are sought in it.
        pair: for each pixel of all pairs.
        denoised: for each pixel of the slices that a training denoises.
        middle: for each pixel of the middle of a slice, where no more of it is looked at.
        pair_middle: for each pixel of the middles of all pairs.
        learnt: the same where a training learns what the TXM shows.
        store: for each byte of the patch store.
        guided: where samples are drawn by blocks of slices.
        guided_plane: the same for each pixel of a TXM slice.
        guided_voxel: the same for each voxel of the TXM volume.
        block: for each voxel of a block of the rock.
        blocks: for each voxel of all blocks of a volume.
        solved: for each of them and each axis along which flow is solved.
        run: for each variant and seed of all samples.
    """

    base: float = 0.0
    plane: float = 0.0
    worker: float = 0.0
    worker_plane: float = 0.0
    voxel: float = 0.0
    further: float = 0.0
    further_plane: float = 0.0
    sought: float = 0.0
    pair: float = 0.0
    denoised: float = 0.0
    middle: float = 0.0
    pair_middle: float = 0.0
    learnt: float = 0.0
    store: float = 0.0
    guided: float = 0.0
    guided_plane: float = 0.0
    guided_voxel: float = 0.0
    block: float = 0.0
    blocks: float = 0.0
    solved: float = 0.0
    run: float = 0.0

    def of(self, job: Job) -> float:
        """The cost of a job."""
        plane = job.sizes.plane_px
        counted = {
            "base": 1,
            "plane": plane,
            "worker": job.threads,
            "worker_plane": job.threads * plane,
            "voxel": job.sizes.voxels,
            "further": job.sizes.voxels * (job.sizes.scans - 1),
            "further_plane": plane * (job.sizes.scans - 1),
            "sought": job.sizes.sought_voxels,
            "pair": job.sizes.pairs * plane,
            "denoised": job.denoised_px,
            "middle": min(plane, MIDDLE_PX),
            "pair_middle": job.sizes.pairs * min(plane, MIDDLE_PX),
            "learnt": job.learns_txm * job.sizes.pairs * min(plane, MIDDLE_PX),
            "store": job.sizes.store_bytes(job.config.patches.context),
            "guided": job.guided,
            "guided_plane": job.guided * plane,
            "guided_voxel": job.guided * job.models * job.sizes.voxels,
            "block": job.block_px,
            "blocks": job.blocks * job.block_px,
            "solved": job.blocks * job.block_px * job.axes,
            "run": job.runs,
        }
        return sum(getattr(self, each.name) * counted[each.name] for each in fields(self))
