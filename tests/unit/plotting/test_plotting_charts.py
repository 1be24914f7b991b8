"""Charts, maps of phases, and the pore space: that they show what they were given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

from txm2sem_core import plotting
from txm2sem_core.config.figures import FigureSettings, PoreSpaceStyle
from txm2sem_core.errors import InputError
from txm2sem_core.plotting import Line, Panel, PhaseMap, PoreSpace, pore_space
from txm2sem_core.plotting.phases import PHASE_COLOURS
from txm2sem_core.plotting.pore_space import _in_sight, _wall

STYLE = FigureSettings()
COMMON = STYLE.common.model_copy(update={"dpi": 60})
X = np.linspace(0, 10, 11)


def saved(figure: Figure, folder: Path) -> np.ndarray:
    plotting.save_figure(figure, folder / "figure.png", COMMON)
    return np.asarray(Image.open(folder / "figure.png").convert("RGB"))


def panel(*lines: Line, **options: str) -> Panel:
    return Panel("Title", "Distance / nm", "Probability", lines, **options)  # type: ignore[arg-type]


def drawn(figure: Figure, index: int = 0) -> dict[str, np.ndarray]:
    """Colour to the values of each line that is drawn."""
    return {to_hex(line.get_color()): np.asarray(line.get_ydata()) for line in figure.axes[index].lines}


def test_a_line_is_the_mean_of_its_seeds_and_the_truth_is_black() -> None:
    seeds = np.stack([X, X + 2, X + 4])
    figure = plotting.draw_charts(
        [panel(Line("Truth", X, X[None], "truth"), Line("Variant", X, seeds))], STYLE.spectra, COMMON
    )
    lines = drawn(figure)
    assert np.array_equal(lines.pop("#000000"), X)
    ((colour, values),) = lines.items()
    assert np.allclose(values, X + 2)
    (band,) = figure.axes[0].collections
    assert to_hex(band.get_facecolor()[0]) == colour
    corners = band.get_paths()[0].vertices
    assert (corners[:, 1].min(), corners[:, 1].max()) == (0, 14)


def test_a_variant_looks_alike_in_all_panels() -> None:
    first, second = Line("First", X, X[None]), Line("Second", X, 2 * X[None], place=1)
    figure = plotting.draw_charts([panel(first, second), panel(second)], STYLE.spectra, COMMON)
    both, one = drawn(figure, 0), drawn(figure, 1)
    assert one.keys() <= both.keys()
    assert len(both) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["First", "Second"]


def test_a_variant_has_one_colour_in_charts_and_training_curves() -> None:
    """Whatever is drawn beside it: baselines have no curves, side tasks no charts."""
    look = {}
    for place in range(8):
        line, history = Line("Net", X, X[None], place=place), plotting.History("Net", 0, X, X, X, place=place)
        truth = Line("Truth", X, X[None], "truth")
        chart = plotting.draw_charts([panel(truth, line)], STYLE.spectra, COMMON).axes[0].lines[1]
        curve = plotting.draw_curves([history], STYLE.curves, COMMON).axes[0].lines[0]
        look[place] = (chart.get_color(), chart.get_linestyle(), chart.is_dashed())
        assert (curve.get_color(), curve.get_linestyle(), curve.is_dashed()) == look[place]
        assert to_hex(chart.get_color()) != "#000000"  # the truth's
    assert len(set(look.values())) == 8


def test_what_a_logarithm_cannot_show_is_left_out() -> None:
    values = np.where(X == 3, np.nan, X - 1)[None]  # -1 and 0 too
    figure = plotting.draw_charts([panel(Line("One", X, values), y_scale="log")], STYLE.spectra, COMMON)
    (line,) = drawn(figure).values()
    assert np.array_equal(line, [1, 3, 4, 5, 6, 7, 8, 9])


def test_a_chart_without_lines_is_refused() -> None:
    for panels in ([], [panel()]):
        with pytest.raises(InputError, match="nothing to draw"):
            plotting.draw_charts(panels, STYLE.spectra, COMMON)


def test_each_phase_has_its_colour(tmp_path: Path) -> None:
    phases = np.repeat(np.arange(4, dtype=np.uint8), 16)[None].repeat(64, axis=0)  # four bands from left to right
    figure = plotting.draw_phases([PhaseMap("Truth", phases)], list("abcd"), (32.0, 32.0), STYLE.phases, COMMON)
    image = saved(figure, tmp_path)
    row, width = image[image.shape[0] // 2], image.shape[1]
    for number, colour in enumerate(PHASE_COLOURS[:4]):
        assert "#{:02x}{:02x}{:02x}".format(*row[int((number + 0.5) * width / 4)]) == colour.lower()
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list("abcd")


def test_maps_of_other_sections_or_phases_are_refused() -> None:
    small, large = np.zeros((4, 4), np.uint8), np.zeros((5, 4), np.uint8)
    with pytest.raises(InputError, match="one section"):
        plotting.draw_phases([PhaseMap("a", small), PhaseMap("b", large)], ["a"], None, STYLE.phases, COMMON)
    with pytest.raises(InputError, match="numbers up to 0"):
        plotting.draw_phases([PhaseMap("a", small + 1)], ["a"], None, STYLE.phases, COMMON)


def ball(side: int = 32, radius: float = 10.0) -> np.ndarray:
    offsets = np.indices((side, side, side)) - (side - 1) / 2
    return (np.sqrt((offsets**2).sum(axis=0)) < radius).astype(np.float32)


def test_the_wall_of_a_ball_is_a_sphere_of_its_size_in_nm() -> None:
    corners, _ = _wall(PoreSpace("Ball", ball(), (20.0, 10.0, 10.0)))
    x, z, height = (corners - corners.mean(axis=0)).T
    assert np.sqrt((x / 10) ** 2 + (z / 20) ** 2 + (height / 10) ** 2) == pytest.approx(10, rel=0.06)
    assert corners.mean(axis=0) == pytest.approx([160, 320, 160], rel=0.01)


def test_pores_are_closed_where_the_block_cuts_them() -> None:
    corners, _ = _wall(PoreSpace("All pore", np.ones((8, 8, 8)), (1.0, 1.0, 1.0)))
    assert corners.min(axis=0) == pytest.approx([0, 0, 0], abs=0.6)
    assert corners.max(axis=0) == pytest.approx([8, 8, 8], abs=0.6)


@pytest.mark.parametrize(
    ("elevation", "azimuth", "size"),
    [(20, -65, (1, 1, 1)), (60, 30, (2, 1, 1)), (-10, 170, (1, 3, 2)), (90, 0, (1, 1, 1))],
)
def test_what_cannot_be_seen_of_the_pores_is_not_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, elevation: float, azimuth: float, size: tuple[float, float, float]
) -> None:
    """The picture is that of all walls, but for a pixel here and there along edges."""
    noise = ndimage.gaussian_filter(np.random.default_rng(2).random((36, 38, 40)), 1.0)
    rough = PoreSpace("Rough", (noise > 0.5).astype(np.float32), size)
    style = STYLE.pore_space.model_copy(update={"elevation_deg": elevation, "azimuth_deg": azimuth})
    kept: list[float] = []

    def counted(corners: np.ndarray, triangles: np.ndarray, style: PoreSpaceStyle) -> np.ndarray:
        found = _in_sight(corners, triangles, style)
        kept.append(len(found) / len(triangles))
        return found

    monkeypatch.setattr(pore_space, "_in_sight", counted)
    seen = saved(plotting.draw_pore_space([rough], style, COMMON), tmp_path).astype(int)
    monkeypatch.setattr(pore_space, "_in_sight", lambda corners, triangles, style: triangles)
    everything = saved(plotting.draw_pore_space([rough], style, COMMON), tmp_path).astype(int)
    assert kept[0] < 0.55  # half of them face away
    assert (np.abs(seen - everything).max(axis=2) > 40).mean() < 0.01
    background = (seen == 255).all(axis=2) & (everything < 200).all(axis=2)
    assert background.mean() < 2e-4


def test_the_pore_space_shows_its_colour_and_a_solid_shows_none(tmp_path: Path) -> None:
    def coloured(pore: np.ndarray) -> int:
        figure = plotting.draw_pore_space([PoreSpace("Block", pore, (10.0, 10.0, 10.0))], STYLE.pore_space, COMMON)
        image = saved(figure, tmp_path).astype(int)
        return int(((image[..., 0] - image[..., 2]) > 40).sum())  # golden

    assert coloured(ball()) > 1000
    assert coloured(np.zeros((32, 32, 32))) == 0


def test_blocks_of_different_size_are_refused() -> None:
    spaces = [PoreSpace("a", ball(8, 2), (1.0, 1.0, 1.0)), PoreSpace("b", ball(8, 2), (2.0, 1.0, 1.0))]
    with pytest.raises(InputError, match="differ in size"):
        plotting.draw_pore_space(spaces, STYLE.pore_space, COMMON)
