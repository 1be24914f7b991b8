"""Planes that are predicted at once: in order, the same as one after another, and nothing left behind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from small_volumes import make_model, make_source
from torch import Tensor

from txm2sem_core import io
from txm2sem_core.checkpoint import load_model
from txm2sem_core.config import PredictSettings
from txm2sem_core.inference import Predictor, load_ensemble, predict_volume
from txm2sem_core.inference.parallel import parallel_map
from txm2sem_core.networks.unet import UNet


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("count", [0, 1, 2, 7])
@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_results_come_in_order(count: int, at_once: int) -> None:
    assert list(parallel_map(lambda n: n * n, range(count), at_once)) == [n * n for n in range(count)]
    assert torch.get_num_threads() == 4


def test_two_work_at_the_same_time_and_share_the_threads() -> None:
    meeting = threading.Barrier(2, timeout=20)  # broken, if one waited for the other

    def work(_: int) -> int:
        meeting.wait()
        return torch.get_num_threads()

    assert list(parallel_map(work, range(4), 2)) == [2, 2, 2, 2]


def test_no_more_is_begun_than_is_needed() -> None:
    taken: list[int] = []
    items = (taken.append(n) or n for n in range(100))
    with closing(parallel_map(lambda n: n, items, 2)) as made:
        assert next(made) == 0
    assert taken == [0, 1, 2]
    assert torch.get_num_threads() == 4
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("predictor")]


def test_an_error_comes_out_where_its_result_would() -> None:
    def work(n: int) -> int:
        if n == 2:
            raise MemoryError("no")
        return n

    made = parallel_map(work, range(9), 2)
    assert [next(made), next(made)] == [0, 1]
    with pytest.raises(MemoryError):
        next(made)
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("generators", [["unet_32"], ["resnet_2blocks"], ["resnet_1blocks", "resnet_2blocks"]])
def test_a_volume_is_what_it_is_plane_by_plane(
    tmp_path: Path, generators: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [make_model(tmp_path / name, name=name) for name in generators]
    make_source(tmp_path / "txm.tif", (20, 48, 80))
    alone = Predictor(load_model(models[0]), PredictSettings(), "cpu")
    predictor = load_ensemble(models, PredictSettings(), "cpu") if len(models) > 1 else alone
    assert predictor.planes_at_once(48, 80) == 2
    predict_volume(predictor, tmp_path / "txm.tif", tmp_path / "two.tif")
    monkeypatch.setattr(Predictor, "planes_at_once", lambda *_: 1)  # which an ensemble asks, too
    predict_volume(predictor, tmp_path / "txm.tif", tmp_path / "one.tif")
    two, one = (io.open_volume(tmp_path / f"{name}.tif").read(0, 20).astype(int) for name in ("two", "one"))
    assert np.ptp(one) > 10
    assert abs(two - one).max() <= 1  # float32 is summed in another order by another number of threads
    assert (two != one).mean() < 1e-3


def test_dropout_stays_off_while_the_other_thread_ends_a_plane(tmp_path: Path) -> None:
    make_model(tmp_path / "model", name="unet_64", dropout=True)
    model = load_model(tmp_path / "model")
    model.generator.train()  # as somebody may have left it
    predictor = Predictor(model, PredictSettings(), "cpu")
    plane = np.random.default_rng(0).integers(0, 255, (1, 64, 64)).astype(np.uint16)
    alone = predictor.predict_plane(plane)
    for made in parallel_map(predictor.predict_plane, [plane] * 40, 2):
        np.testing.assert_allclose(made, alone, atol=1e-3)


class Remembering(UNet):
    """A network of a user's, derived from ours, that no two threads may call at once."""

    last: Tensor

    def forward(self, x: Tensor) -> Tensor:
        self.last = x
        return super().forward(self.last)


def test_one_at_a_time_where_two_would_disturb_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_model(tmp_path / "model", name="unet_32", dropout=True)
    model = load_model(tmp_path / "model")

    def at_once(mode: str = "evaluation", shape: tuple[int, int] = (64, 64)) -> int:
        return Predictor(model, PredictSettings(), "cpu", mode).planes_at_once(*shape)

    assert at_once() == 2
    assert at_once("dropout") == at_once("batch_statistics") == 1  # one sequence of random numbers
    assert at_once(shape=(100_000, 64)) == 2
    assert at_once(shape=(20_000, 20_000)) == 1  # two would need more memory than a plane may take
    torch.set_num_threads(3)
    assert at_once() == 1
    torch.set_num_threads(2)
    torch.set_num_threads(1)
    elsewhere = Predictor(model, PredictSettings(), "cpu").planes
    monkeypatch.setattr(elsewhere, "_on_gpu", True)
    assert elsewhere.planes_at_once(64, 64) == 3  # one is computed, one sent, one made grey levels of
    assert list(parallel_map(lambda n: n, range(3), 2)) == [0, 1, 2]
    torch.set_num_threads(2)
    model.generator.__class__ = Remembering
    assert at_once() == 1
