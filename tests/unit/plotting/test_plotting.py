"""Figures: their size, their fixed bytes, and that they show what they were given."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from txm2sem_core import plotting
from txm2sem_core.config.figures import CommonStyle, ComparisonStyle, FigureSettings, load_figure_settings
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.plotting import Measured, RockPanel, draw_rock
from txm2sem_core.plotting.canvas import letter
from txm2sem_core.plotting.images import length_label, scale_bar_length_nm

STYLE = FigureSettings()
COMMON = STYLE.common.model_copy(update={"dpi": 100})
ROOT = Path(__file__).parents[3]


def patch(seed: int, shape: tuple[int, int] = (32, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, shape).astype(np.uint8)


def montage_rows(count: int) -> list[plotting.MontageRow]:
    return [
        plotting.MontageRow(f"Variant {i}", patch(0), patch(i + 2), patch(1), (32.0, 32.0), "15.8 dB, SSIM 0.50")
        for i in range(count)
    ]


def comparison_table() -> pd.DataFrame:
    columns = ("variant", "label", "kind", "factor", "slices", "psnr_mean", "psnr_stderr", "ssim_mean", "ssim_stderr")
    rows = [
        ("a", "Feedforward", "learned", 1, 40, 15.0, 0.1, 0.50, 0.01),
        ("b", "pix2pix costs $5 and $6", "learned", 1, 40, 16.0, 0.2, 0.45, 0.01),
        ("c", "Identity", "baseline", 1, 40, 14.0, 0.1, 0.40, 0.01),
        ("d", "SRCNN", "learned", 2, 40, 13.0, np.nan, 0.41, np.nan),
        ("e", "Perfect", "baseline", 2, 40, np.inf, np.nan, 1.0, 0.0),
    ]
    return pd.DataFrame(rows, columns=columns)


def volume(label: str, modality: str = "sem", *, reference: bool = False, shape: tuple[int, int, int] = (8, 12, 16)):  # type: ignore[no-untyped-def]
    values = np.random.default_rng(len(label)).normal(size=shape)
    position = (shape[0] // 2, shape[1] // 3, shape[2] // 4)
    cuts = plotting.cut_sections(values, position)
    return plotting.VolumeSections(label, *cuts, position, (64.0, 32.0, 32.0), modality, reference)  # type: ignore[arg-type]


def histories() -> list[plotting.History]:
    epochs = np.arange(1.0, 6.0)
    return [
        plotting.History("Feedforward", seed, epochs, epochs + seed, epochs / 10, {"loss": 1 / (epochs + seed)})
        for seed in range(3)
    ] + [plotting.History("pix2pix", 0, epochs[:3], epochs[:3], epochs[:3] / 9, {"adversarial": -epochs[:3]}, place=1)]


def registration_views() -> list[plotting.RegistrationView]:
    moved = patch(3, (24, 36)).astype(float)
    moved[:4] = np.nan
    return [plotting.RegistrationView("slice 8", patch(2, (24, 36)), moved, moved, (32.0, 32.0), "NMI 0.02 to 0.11")]


FIGURES = {
    "montage": lambda: plotting.draw_montage(montage_rows(3), STYLE.montage, COMMON),
    "sections": lambda: plotting.draw_sections([volume("TXM", "txm"), volume("Prediction")], STYLE.sections, COMMON),
    "curves": lambda: plotting.draw_curves(histories(), STYLE.curves, COMMON),
    "comparison": lambda: plotting.draw_comparison(comparison_table(), STYLE.comparison, COMMON),
    "registration": lambda: plotting.draw_registration(registration_views(), STYLE.registration, COMMON),
}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("name", FIGURES)
def test_width_is_the_journal_s_and_the_pixels_follow_the_resolution(name: str, tmp_path: Path) -> None:
    figure = FIGURES[name]()
    width, height = plotting.size_mm(figure)
    assert width == pytest.approx(178.0)
    assert height <= COMMON.max_height_mm
    plotting.save_figure(figure, tmp_path / "figure.png", COMMON)
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width == pytest.approx(width / 25.4 * 100, abs=1.5)
        assert image.height == pytest.approx(height / 25.4 * 100, abs=1.5)
        assert image.info["Software"] == "TXM2SEM"  # and no version, whose bytes would change


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_same_input_same_bytes(name: str, suffix: str, tmp_path: Path) -> None:
    for copy in ("first", "second"):
        plotting.save_figure(FIGURES[name](), tmp_path / f"{copy}{suffix}", COMMON)
    first = (tmp_path / f"first{suffix}").read_bytes()
    assert first == (tmp_path / f"second{suffix}").read_bytes()
    assert len(first) > 1000
    assert b"CreationDate" not in first
    assert b"<dc:date>" not in first
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


def test_no_pyplot_and_no_display() -> None:
    code = (
        "import sys, numpy as np; from txm2sem_core import plotting; from txm2sem_core.config.figures import *;"
        "s = FigureSettings(); z = np.eye(16);"
        "plotting.draw_montage([plotting.MontageRow('a', z, z, z, (1.0, 1.0))], s.montage, s.common);"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    environment = {"PATH": "", "MPLBACKEND": "TkAgg", "PYTHONPATH": str(ROOT)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_a_user_s_matplotlib_settings_change_nothing(tmp_path: Path) -> None:
    import matplotlib as mpl

    plotting.save_figure(FIGURES["comparison"](), tmp_path / "plain.png", COMMON)
    with mpl.rc_context({"font.size": 22, "axes.facecolor": "pink", "savefig.bbox": "tight", "lines.linewidth": 9}):
        plotting.save_figure(FIGURES["comparison"](), tmp_path / "theirs.png", COMMON)
        assert mpl.rcParams["font.size"] == 22
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "theirs.png").read_bytes()


def test_montage_shares_one_grey_scale_and_centres_the_error() -> None:
    images = [axes.images[0] for axes in FIGURES["montage"]().axes[:12]]
    predictions_and_targets = [images[row * 4 + column] for row in range(3) for column in (1, 2)]
    assert len({image.get_clim() for image in predictions_and_targets}) == 1
    low, high = images[3].get_clim()
    assert low == -high
    np.testing.assert_array_equal(images[3].get_array(), patch(2).astype(float) - patch(1))


def test_montage_of_many_rows_fits_the_page() -> None:
    figure = plotting.draw_montage(montage_rows(20), STYLE.montage, COMMON)
    assert plotting.size_mm(figure)[1] <= COMMON.max_height_mm
    assert sum(text.startswith("Variant") for text in texts(figure)) == 20


def test_montage_takes_coarse_txm_and_shortens_long_labels() -> None:
    row = plotting.MontageRow("word " * 60, patch(0, (8, 8)), patch(1), patch(2), (32.0, 32.0))
    figure = plotting.draw_montage([row], STYLE.montage, COMMON)
    assert figure.axes[0].images[0].get_extent() == figure.axes[1].images[0].get_extent()
    assert any(text.startswith("word") and text.endswith("…") for text in texts(figure))


def test_montage_refuses_what_does_not_belong_together() -> None:
    big = plotting.MontageRow("big", patch(0), patch(1, (64, 64)), patch(2, (64, 64)), (32.0, 32.0))
    with pytest.raises(InputError, match="different size"):
        plotting.draw_montage([*montage_rows(1), big], STYLE.montage, COMMON)
    with pytest.raises(InputError, match="at least one row"):
        plotting.draw_montage([], STYLE.montage, COMMON)


def test_sections_have_the_rock_s_proportions() -> None:
    figure = plotting.draw_sections([volume("Prediction", shape=(10, 12, 16))], STYLE.sections, COMMON)
    xy, xz, yz = (axes.get_position() for axes in figure.axes)
    width_mm, height_mm = plotting.size_mm(figure)
    scale = xy.width * width_mm / (16 * 32)
    assert xy.height * height_mm == pytest.approx(12 * 32 * scale)
    assert xz.height * height_mm == pytest.approx(10 * 64 * scale)
    assert yz.width * width_mm == pytest.approx(10 * 64 * scale)


def test_sections_are_of_the_named_planes() -> None:
    values = np.random.default_rng(0).normal(size=(5, 6, 7))
    xy, xz, yz = plotting.cut_sections(iter(values), (1, 2, 3))
    np.testing.assert_array_equal(xy, values[1])
    np.testing.assert_array_equal(xz, values[:, 2])
    np.testing.assert_array_equal(yz, values[:, :, 3])
    with pytest.raises(InputError, match="z = 5 lies outside"):
        plotting.cut_sections(values, (5, 0, 0))


def test_flat_volume_is_cropped_around_the_meeting_point() -> None:
    flat = volume("Prediction", shape=(4, 200, 200))
    style = STYLE.sections.model_copy(update={"least_depth": 0.2})
    figure = plotting.draw_sections([flat], style, COMMON)
    shown = figure.axes[0].images[0].get_array()
    assert shown.shape == (40, 40)  # 4 slices of 64 nm are a fifth of 40 pixels of 32 nm
    np.testing.assert_array_equal(shown, flat.xy[46:86, 30:70])  # around y = 66, x = 50


def test_truth_sets_the_grey_scale_of_predictions() -> None:
    truth, prediction = volume("Truth", reference=True), volume("Prediction")
    figure = plotting.draw_sections([prediction, truth], STYLE.sections, COMMON)
    expected = np.percentile(np.concatenate([truth.xy.ravel(), truth.xz.ravel(), truth.yz.ravel()]), (0.5, 99.5))
    assert figure.axes[0].images[0].get_clim() == pytest.approx(tuple(expected))


def test_curves_show_the_mean_of_seeds_and_their_range() -> None:
    figure = FIGURES["curves"]()
    psnr = figure.axes[0]
    np.testing.assert_allclose(psnr.lines[0].get_ydata(), np.arange(1, 6) + 1)
    band = psnr.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1, 7)
    assert len(figure.axes) == 4  # two scores, and the losses of either variant
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Feedforward", "pix2pix"]


def test_comparison_sorts_within_groups_and_keeps_baselines_apart() -> None:
    figure = FIGURES["comparison"]()
    labels = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert labels == [
        *("Learned", "pix2pix costs $5 and $6", "Feedforward", "Baselines", "Identity"),
        *("Learned, ×2", "SRCNN", "Baselines, ×2", "Perfect"),
    ]
    by_ssim = STYLE.comparison.model_copy(update={"sort_by": "ssim"})
    reordered = plotting.draw_comparison(comparison_table(), by_ssim, COMMON)
    assert [tick.get_text() for tick in reordered.axes[0].get_yticklabels()][1] == "Feedforward"


def test_comparison_draws_every_seed() -> None:
    seeds = pd.DataFrame({"variant": ["b"] * 3, "psnr_mean": [15.7, 16.1, 16.2], "ssim_mean": [0.44, 0.45, 0.46]})
    figure = plotting.draw_comparison(comparison_table(), STYLE.comparison, COMMON, seeds)
    drawn = [line.get_xdata().tolist() for line in figure.axes[0].lines if len(line.get_xdata()) == 3]
    assert drawn == [[15.7, 16.1, 16.2]]


def test_comparison_refuses_a_table_that_lacks_columns() -> None:
    with pytest.raises(InputError, match="lacks the columns kind"):
        plotting.draw_comparison(comparison_table().drop(columns="kind"), STYLE.comparison, COMMON)


def test_checkerboard_takes_turns() -> None:
    board = plotting.checkerboard(np.zeros((4, 8)), np.ones((4, 8)), tiles=4)
    np.testing.assert_array_equal(board[:2], [[0, 0, 1, 1, 0, 0, 1, 1]] * 2)
    np.testing.assert_array_equal(board[2:], 1 - board[:2])


def test_registration_shows_the_quality_and_where_nothing_is() -> None:
    figure = FIGURES["registration"]()
    assert "NMI 0.02 to 0.11" in texts(figure)
    image = figure.axes[1].images[0]
    assert np.ma.getmaskarray(image.get_array()).any()
    assert to_hex(image.cmap.get_bad()).upper() == "#56B4E9"


@given(width=st.floats(1, 1e8), fraction=st.floats(0.05, 0.5))
def test_scale_bar_is_round_and_fits(width: float, fraction: float) -> None:
    length = scale_bar_length_nm(width, fraction)
    assert length <= width * fraction * (1 + 1e-6)
    assert length > width * fraction / 2.5 * (1 - 1e-6)
    assert f"{length:e}"[0] in "125"


@pytest.mark.parametrize(
    ("length", "label"), [(500.0, "500 nm"), (1000.0, "1 µm"), (20000.0, "20 µm"), (2e6, "2 mm"), (0.5, "0.5 nm")]
)
def test_lengths_are_named_in_the_fitting_unit(length: float, label: str) -> None:
    assert length_label(length) == label


def test_scale_bar_has_its_length_in_the_image() -> None:
    axes = FIGURES["montage"]().axes[0]
    start, end = axes.lines[0].get_xdata()
    assert end - start == pytest.approx(200.0)  # a patch of 1024 nm, at most three tenths of it
    assert "200 nm" in [text.get_text() for text in axes.texts]


def test_no_scale_bar_without_a_pixel_size() -> None:
    row = plotting.MontageRow("a", patch(0, (16, 16)), patch(1), patch(2), None)
    figure = plotting.draw_montage([row], STYLE.montage, COMMON)
    assert [len(axes.lines) for axes in figure.axes[:4]] == [0, 0, 0, 0]
    assert figure.axes[0].images[0].get_extent() == figure.axes[2].images[0].get_extent()


def test_panel_letters_go_on_after_z() -> None:
    assert [letter(i) for i in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "ab", "ba"]


def test_the_shipped_settings_are_the_defaults_and_name_every_key() -> None:
    values = yaml.safe_load((ROOT / "config/figures.yaml").read_text())
    assert load_figure_settings(values) == STYLE
    dumped = STYLE.model_dump()
    assert {group: set(keys) for group, keys in values.items()} == {group: set(keys) for group, keys in dumped.items()}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"montage": {"eror": "signed"}}, "Did you mean 'error'"),
        ({"common": {"formats": ["pdf"]}}, "must name png"),
        ({"montage": {"error": "absolute"}}, "error_colours must be one of viridis"),
        ({"sections": {"grey_percentiles": [99, 1]}}, "low < high"),
        ({"common": {"dpi": 5000}}, "common.dpi"),
    ],
)
def test_wrong_settings_are_named(values: dict[str, dict[str, object]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_figure_settings(values)


def test_the_rock_of_variants_with_and_without_intervals() -> None:
    """A bar for each interval that is known, a band for the truth's rock, a point for each of several volumes."""
    known = Measured(0.12, (0.11, 0.13), (0.1, 0.14), (0.08, 0.16))
    alone, nothing = Measured(0.2, (0.2,)), Measured(math.nan)
    truth = Measured(0.15, (0.15,), rock=(0.12, 0.18))
    panels = [RockPanel("Porosity", [known, alone, nothing], truth), RockPanel("Surface", [alone, alone, alone])]
    figure = draw_rock(["flow", "$net$", "a"], panels, ComparisonStyle(), CommonStyle())
    first, second = figure.axes
    bars = [line for line in first.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] != line.get_xdata()[1]]
    ends = [list(line.get_xdata()) for line in bars if line.get_marker() == "None"]
    assert [0.1, 0.14] in ends
    assert [0.08, 0.16] in ends
    assert len(first.patches) == 1
    assert not second.patches
    assert [label.get_text() for label in first.get_yticklabels()] == ["flow", "$net$", "a"]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["mean", "one volume", "another training, 90 %", "this rock, 90 %", "truth", "its rock, 90 %"]


@pytest.mark.parametrize("panels", [[], [RockPanel("Porosity", [])]])
def test_a_rock_of_no_or_other_variants_is_refused(panels: list[RockPanel]) -> None:
    with pytest.raises(InputError, match="no rock to draw"):
        draw_rock(["a"], panels, ComparisonStyle(), CommonStyle())
