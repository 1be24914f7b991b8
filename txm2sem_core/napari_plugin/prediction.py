"""A shown volume is predicted with a chosen model, in a thread; nothing here knows of Qt or napari."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from txm2sem_core.errors import InputError
from txm2sem_core.io.lengths import in_nm
from txm2sem_core.io.voxel_sizes import VoxelSize
from txm2sem_core.napari_plugin.layers import Layer


class _StoppedError(Exception):
    """Somebody asked for it."""


class Prediction:
    """The prediction of what an image layer of napari shows.

    Args:
        model: folder of a model.
        layer: with `data` (of a multiscale one the first level is predicted), `name`, `scale`, `translate`, `units`.
    """

    def __init__(self, model: Path, layer: Any) -> None:
        self._model, self._layer = model, layer
        self._stop = threading.Event()
        self._said: queue.Queue[tuple[int, int] | None] = queue.Queue()
        self._result: Layer | None = None
        self._error: BaseException | None = None

    def stop(self) -> None:
        """End after the slice that is being predicted."""
        self._stop.set()

    def steps(self) -> Generator[tuple[int, int], None, Layer | None]:
        """Predict; yields how many slices are done, and of how many, as they are.

        Returns:
            The layer of the prediction, on the place of the TXM's; None where it was stopped.

        Raises:
            ConfigError, InputError: the folder holds no model, or the layer no volume that it could predict.
        """
        thread = threading.Thread(target=self._work, name="prediction", daemon=True)
        thread.start()
        try:
            while (step := self._said.get()) is not None:
                yield step
        finally:  # also where nobody asks for more steps
            self._stop.set()
        if self._error is not None:
            raise self._error
        return self._result

    def _work(self) -> None:
        try:
            self._result = self._predicted()
        except _StoppedError:
            pass
        except BaseException as error:  # it is raised where the steps are asked for
            self._error = error
        finally:
            self._said.put(None)

    def _say(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        self._said.put((done, total))

    def _predicted(self) -> Layer:
        from txm2sem_core.checkpoint import load_model
        from txm2sem_core.config import PredictSettings
        from txm2sem_core.inference import Predictor, predict_volume

        array = shown_volume(self._layer)
        predictor = Predictor(load_model(self._model), PredictSettings())
        if predictor.family.needs_sem:
            raise InputError(f"{self._model}: this model repairs FIB-SEM slices, and predicts none. Choose another.")
        size_nm = voxel_size_nm(self._layer)
        name = f"{self._layer.name}, {self._model.name}"
        voxels = predict_volume(predictor, array, voxel_size_nm=size_nm, on_progress=self._say, name=name)
        return voxels, {"name": f"prediction: {name}", **place_of(self._layer, predictor.factor)}, "image"


def shown_volume(layer: Any) -> Any:
    """The array [Z, Y, X] of an image layer.

    Raises:
        InputError: it shows colours, or no volume.
    """
    array = layer.data[0] if layer.multiscale else layer.data
    if layer.rgb or len(array.shape) != 3:
        raise InputError(f"{layer.name}: a TXM volume [Z, Y, X] of grey levels is needed. Choose such a layer.")
    return array


def voxel_size_nm(layer: Any) -> VoxelSize | None:
    """Voxel size (Z, Y, X) by scale and units of a layer; None where a unit is no length, as `pixel`."""
    z, y, x = (in_nm(float(size), str(unit)) for size, unit in zip(layer.scale, layer.units, strict=True))
    return None if z is None or y is None or x is None else (z, y, x)


def place_of(layer: Any, factor: int) -> dict[str, Any]:
    """Scale, place and units of a layer whose pixels are `factor` times as fine along y and x.

    Places of layers are those of the centre of their first pixel.
    """
    factors = np.array([1, factor, factor])
    scale = np.asarray(layer.scale, dtype=float)
    translate = np.asarray(layer.translate, dtype=float) + scale * (1 / factors - 1) / 2
    return {"scale": tuple(scale / factors), "translate": tuple(translate), "units": tuple(layer.units)}
