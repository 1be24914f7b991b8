"""The widgets of napari, whose libraries are imported here and nowhere else; what they do is in other modules.

No `from __future__ import annotations`: magicgui makes fields by the types of arguments, and resolves no strings.
"""

from pathlib import Path
from typing import Any

from magicgui import magicgui, widgets
from napari.layers import Image, Points
from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from napari.viewer import current_viewer

from txm2sem_core.errors import for_user
from txm2sem_core.napari_plugin.marking import write_landmarks
from txm2sem_core.napari_plugin.prediction import Prediction


def predict_widget() -> Any:
    """Predict the volume of a layer with a model, in a thread that can be stopped; the result becomes a layer."""
    bar = widgets.ProgressBar(label="slices", value=0, visible=False)
    cancel = widgets.PushButton(text="Cancel", visible=False)
    running: list[Prediction] = []

    def predict(txm: Image, model: Path) -> None:
        viewer = current_viewer()
        prediction = Prediction(model, txm)
        running.append(prediction)
        begun_or_ended(True)
        connected = {"yielded": step, "returned": lambda layer: returned(viewer, layer), "errored": refused}
        worker = create_worker(prediction.steps, _connect=connected, _ignore_errors=True, _start_thread=False)
        worker.finished.connect(lambda: begun_or_ended(False))
        worker.start()

    def begun_or_ended(begun: bool) -> None:
        gui.call_button.enabled = not begun
        bar.value = 0
        bar.visible = cancel.visible = begun
        cancel.enabled = begun
        if not begun:
            running.clear()

    def step(done_of: tuple[int, int]) -> None:
        bar.value, bar.max = 0, max(done_of[1], 1)
        bar.value = done_of[0]

    def stop() -> None:
        cancel.enabled = False  # it ends with its slice
        for prediction in running:
            prediction.stop()

    gui = magicgui(predict, call_button="Predict", model={"mode": "d", "label": "model folder"}, txm={"label": "TXM"})
    gui.extend([bar, cancel])
    cancel.clicked.connect(stop)
    return gui


def returned(viewer: Any, layer: Any) -> None:
    """Show a prediction; None where it was stopped."""
    if layer is None:
        show_info("The prediction was stopped.")
        return
    data, arguments, _ = layer
    viewer.add_image(data, **arguments)


def refused(error: BaseException) -> None:
    """Show a user's mistake as its message; what is none, as napari shows errors."""
    reported = for_user(error)
    if reported is None:
        raise error
    show_error(str(reported))


def landmarks_widget() -> Any:
    """Write what was marked in two slices as the landmarks of a pair."""

    def write(txm: Image, txm_points: Points, sem: Image, sem_points: Points, pair: str, folder: Path) -> None:
        try:
            files = write_landmarks(folder, pair, (txm, txm_points), (sem, sem_points))
        except Exception as error:
            refused(error)
        else:
            show_info(f"Written: {files[0]} and {files[1]}")

    labels = {"txm": "TXM slice", "txm_points": "its points", "sem": "FIB-SEM slice", "sem_points": "its points"}
    options: dict[str, Any] = {name: {"label": label} for name, label in labels.items()}
    options |= {"pair": {"label": "number of the pair"}, "folder": {"mode": "d", "label": "folder of landmarks"}}
    return magicgui(write, call_button="Write landmarks", **options)
