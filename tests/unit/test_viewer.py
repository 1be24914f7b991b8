"""The report: complete, offline, and safe with hostile names."""

from __future__ import annotations

import base64
import copy
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from txm2sem_core.errors import InputError
from txm2sem_core.viewer import ReportData, verdicts, write_report

HOSTILE = '</script><script>alert("1")</script><img src=x onerror=alert(2)>'


def row(variant: str, kind: str, psnr: float, ssim: float, factor: int = 1, stderr: float = 0.1) -> dict[str, Any]:
    return {
        "variant": variant,
        "label": variant.capitalize(),
        "kind": kind,
        "factor": factor,
        "seeds": 2 if kind == "learned" else 1,
        "n": 40,
        "psnr_mean": psnr,
        "psnr_stderr": stderr,
        "ssim_mean": ssim,
        "ssim_stderr": stderr / 10,
        "mae_mean": 0.1,
    }


@pytest.fixture
def report(tmp_path: Path) -> ReportData:
    paths = []
    for index in range(2):
        paths.append(tmp_path / f"figure{index}.png")
        Image.fromarray(np.full((20, 30), 100 * index, np.uint8)).save(paths[-1])
    gradient = np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1))
    slices = [{"z": 8 * i, "images": {"TXM": gradient, "Prediction": 255 - gradient}} for i in range(3)]
    sample = {
        "name": "phantom",
        "source": "synthetic phantom",
        "description": "A simulated shale.",
        "voxel_size_nm": (64.0, 32.0, 32.0),
        "pairs_total": 12,
        "pairs_refused": [{"pair": "SEM007", "reasons": ["turned by 21 degrees", "similarity 0.01"]}],
        "table": [row("pix2pix", "learned", 16.5, 0.6), row("identity", "baseline", 14.0, 0.4)],
        "volume_table": [{"variant": "pix2pix", "label": "Pix2pix", "fraction_0": 0.093, "odd_figure": float("nan")}],
        "figures": [{"title": f"Plate {i}", "caption": f"Caption {i}", "path": path} for i, path in enumerate(paths)],
        "viewer": {"axis": "z", "slices": slices, "names": ["TXM", "Prediction"], "pixel_nm": 64.0},
        "volumes": [{"variant": "pix2pix", "path": "results/phantom/volumes/pix2pix/seed0/sem.ome.zarr"}],
        "warnings": ["Trained on the CPU."],
    }
    return {  # type: ignore[typeddict-item]
        "title": "Shale",
        "created_by": "txm2sem 0.1.0",
        "samples": [sample],
        "settings_yaml": "preset: corrected\n",
        "versions": {"torch": "2.13.0"},
    }


def written(report: ReportData, folder: Path) -> str:
    write_report(folder / "report.html", report)
    return (folder / "report.html").read_text(encoding="utf-8")


class Outline(HTMLParser):
    """Tags, their attributes, and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_first_screen_says_what_was_run_and_the_answer(report: ReportData, tmp_path: Path) -> None:
    text = re.sub(r"\s+", " ", Outline(written(report, tmp_path)).text)
    assert "synthetic phantom" in text
    assert "Pix2pix (16.50 ± 0.10 dB, SSIM 0.600 ± 0.010, 40 test patches, 2 seeds) beats every baseline" in text
    assert "11 of 12 used" in text
    assert "64 × 32 × 32 nm (Z × Y × X)" in text
    assert "SEM007: turned by 21 degrees; similarity 0.01" in text
    assert text.index("beats every baseline") < text.index("Comparison on held-out patches") < text.index("Figures")


def test_nothing_points_outside(report: ReportData, tmp_path: Path) -> None:
    html = written(report, tmp_path)
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", html)
    page = Outline(html)
    sources = [attributes.get(name) for _, attributes in page.tags for name in ("src", "href") if name in attributes]
    assert sources
    assert all(source and source.startswith(("data:", "#")) for source in sources)
    assert "default-src 'none'" in html


def test_every_figure_is_inside_with_caption_and_words_for_the_blind(report: ReportData, tmp_path: Path) -> None:
    page = Outline(written(report, tmp_path))
    plates = [image for image in page.all("img") if (image["src"] or "").startswith("data:image/png")]
    for index, (figure, image) in enumerate(zip(report["samples"][0]["figures"], plates, strict=True)):
        content = base64.b64decode((image["src"] or "").split(",")[1])
        assert content == Path(figure["path"]).read_bytes()
        assert image["alt"] == f"Plate {index}. Caption {index}"
        assert f"Caption {index}" in page.text
    assert all(image.get("alt") for image in page.all("img"))


def test_large_figures_are_embedded_smaller(report: ReportData, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1000, 3000)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    report["samples"][0]["figures"] = [{"title": "Large", "caption": "Noise", "path": tmp_path / "large.png"}]
    plate = next(image for image in Outline(written(report, tmp_path)).all("img") if image["alt"] == "Large. Noise")
    with Image.open(io.BytesIO(base64.b64decode((plate["src"] or "").split(",")[1]))) as image:
        assert (image.format, image.size) == ("JPEG", (2400, 800))


def test_viewer_holds_every_slice(report: ReportData, tmp_path: Path) -> None:
    html = written(report, tmp_path)
    found = re.search(r'<script type="application/json" id="slices-1">(.*?)</script>', html, re.DOTALL)
    assert found
    data = json.loads(found[1])
    assert (data["names"], data["positions"], data["pixel_nm"]) == (["TXM", "Prediction"], [0, 8, 16], 64.0)
    with Image.open(io.BytesIO(base64.b64decode(data["images"][2][1].split(",")[1]))) as image:
        expected = report["samples"][0]["viewer"]["slices"][2]["images"]["Prediction"]  # type: ignore[index]
        np.testing.assert_allclose(np.asarray(image), expected, atol=6)


def test_hostile_names_stay_words(report: ReportData, tmp_path: Path) -> None:
    harmless = Outline(written(report, tmp_path))
    sample = report["samples"][0]
    sample["name"] = sample["description"] = sample["source"] = HOSTILE
    sample["warnings"] = [HOSTILE]
    sample["table"][0]["label"] = HOSTILE
    sample["figures"][0]["caption"] = HOSTILE
    sample["volumes"][0]["path"] = HOSTILE
    sample["volume_table"][0][HOSTILE] = HOSTILE  # type: ignore[index]
    viewer = sample["viewer"]
    assert viewer
    viewer["names"] = ["TXM", HOSTILE]
    viewer["slices"] = [
        {"z": s["z"], "images": {"TXM": s["images"]["TXM"], HOSTILE: s["images"]["TXM"]}} for s in viewer["slices"]
    ]
    report["settings_yaml"] = report["title"] = HOSTILE
    page = Outline(written(report, tmp_path))
    assert len(page.all("script")) == len(harmless.all("script"))
    assert len(page.all("img")) == len(harmless.all("img"))
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.text.count('alert("1")') >= 6


def test_same_report_same_bytes(report: ReportData, tmp_path: Path) -> None:
    assert written(copy.deepcopy(report), tmp_path) == written(report, tmp_path)


def test_report_without_viewer_volumes_and_table(report: ReportData, tmp_path: Path) -> None:
    sample = report["samples"][0]
    sample["viewer"] = None
    sample["volumes"] = sample["volume_table"] = sample["table"] = sample["pairs_refused"] = sample["warnings"] = []
    text = Outline(written(report, tmp_path)).text
    assert "Where the volumes lie" not in text
    assert "Figures" in text


def test_unknown_voxel_size_is_said_and_draws_no_scale_bar(report: ReportData, tmp_path: Path) -> None:
    sample = report["samples"][0]
    sample["voxel_size_nm"] = (None, None, None)
    viewer = sample["viewer"]
    assert viewer
    viewer["pixel_nm"] = None
    html = written(report, tmp_path)
    assert "not recorded" in Outline(html).text
    assert '"pixel_nm": null' in html


def test_numbers_that_are_missing_are_dashes(report: ReportData, tmp_path: Path) -> None:
    html = written(report, tmp_path)
    assert "Odd figure" in html
    assert re.search(r'data-value="nan">–<', html)


@pytest.mark.parametrize(
    ("rows", "status", "words"),
    [
        ([row("a", "learned", 16, 0.6), row("b", "baseline", 15, 0.5)], "yes", "beats every baseline in PSNR and SSIM"),
        ([row("a", "learned", 16, 0.4), row("b", "baseline", 15, 0.5)], "partly", "in PSNR but not in SSIM"),
        ([row("a", "learned", 14, 0.6), row("b", "baseline", 15, 0.5)], "partly", "in SSIM but not in PSNR"),
        ([row("a", "learned", 14, 0.4), row("b", "baseline", 15, 0.5)], "no", "does not beat the baselines"),
        ([row("a", "learned", 15, 0.5), row("b", "baseline", 15, 0.5)], "no", "within its standard error"),
        ([row("a", "learned", 15.1, 0.6), row("b", "baseline", 15, 0.5)], "yes", "difference in PSNR is within"),
        ([row("a", "learned", 16, 0.6)], "open", "no baseline"),
        ([row("b", "baseline", 15, 0.5)], "open", "No learned variant"),
    ],
)
def test_answer(rows: list[Any], status: str, words: str) -> None:
    (verdict,) = verdicts(rows)
    assert verdict.status == status
    assert words in verdict.sentence


def test_each_rival_is_the_best_in_its_own_score_and_factors_stand_apart() -> None:
    rows: list[Any] = [
        row("net", "learned", 16, 0.6),
        row("filter", "baseline", 15, 0.4),
        row("map", "baseline", 14, 0.5),
        row("srcnn", "learned", 12, 0.3, factor=2),
        row("bicubic", "baseline", 13, 0.4, factor=2),
    ]
    first, second = verdicts(rows)
    assert (first.factor, first.status, second.factor, second.status) == (1, "yes", 2, "no")
    assert "15.00 dB (Filter) and SSIM 0.500 (Map)" in first.sentence
    assert "Bicubic" in second.sentence


def test_mistakes_are_named_and_leave_no_file(report: ReportData, tmp_path: Path) -> None:
    broken = copy.deepcopy(report)
    broken["samples"][0]["figures"][0]["path"] = tmp_path / "missing.png"
    with pytest.raises(InputError, match=r"missing\.png"):
        write_report(tmp_path / "new.html", broken)
    uneven = copy.deepcopy(report)
    uneven["samples"][0]["viewer"]["slices"][1]["images"]["TXM"] = np.zeros((4, 4), np.uint8)  # type: ignore[index]
    with pytest.raises(InputError, match="slice 8, TXM"):
        write_report(tmp_path / "new.html", uneven)
    report["samples"] = []
    with pytest.raises(InputError, match="no sample"):
        write_report(tmp_path / "new.html", report)
    assert not (tmp_path / "new.html").exists()
