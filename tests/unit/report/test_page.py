"""The report: complete, offline, and safe with hostile names."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from txm2sem_core.errors import InputError
from txm2sem_core.metrics.numerals import number
from txm2sem_core.report.gather import VIEWER_BYTES
from txm2sem_core.report.page import MOST_BYTES, ReportData, encode_plane, verdicts, write_report

HOSTILE = '</script><script>alert("1")</script><img src=x onerror=alert(2)>'


def row(variant: str, kind: str, psnr: float, ssim: float, factor: int = 1, stderr: float = 0.1) -> dict[str, Any]:
    return {
        "variant": variant,
        "label": variant.capitalize(),
        "kind": kind,
        "factor": factor,
        "seeds": 2 if kind == "learned" else 1,
        "n": 40,
        "slices": 12,
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
    volumes = [
        {
            "name": name,
            "role": role,
            "low": 0.0,
            "high": 255.0,
            "slices": [encode_plane(plane, 0, 255, (48, 64), 90)] * 3,
        }
        for name, role, plane in (("TXM", "txm", gradient), ("Prediction", "prediction", 255 - gradient))
    ]
    sample = {
        "name": "phantom",
        "source": "synthetic",
        "real": False,
        "description": "A simulated shale.",
        "voxel_size_nm": (64.0, 32.0, 32.0),
        "pairs_total": 12,
        "pairs_refused": [{"pair": "SEM007", "reasons": ["turned by 21 degrees", "similarity 0.01"]}],
        "patches": "64 × 64 pixels: train 8 pairs, 40 patches",
        "table": [row("pix2pix", "learned", 16.5, 0.6), row("identity", "baseline", 14.0, 0.4)],
        "paired": [],
        "beyond": ["Continuity along z: nothing was measured of it."],
        "tables": [
            {
                "key": "volumes",
                "title": "Volumes",
                "note": "Of volumes.",
                "columns": [("label", "Variant", 3), ("fraction_0", "Darkest", 3), ("odd_figure", "Odd figure", 3)],
                "rows": [{"label": "Pix2pix", "fraction_0": 0.093, "odd_figure": float("nan")}],
            }
        ],
        "figures": [{"title": f"Plate {i}", "caption": f"Caption {i}", "path": path} for i, path in enumerate(paths)],
        "viewer": {
            "volumes": volumes,
            "shape": (3, 48, 64),
            "voxel_nm": (128.0, 64.0, 64.0),
            "z_step": 2,
            "full_shape": (6, 96, 128),
            "left_out": [],
        },
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
        self._texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self._texts)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_first_screen_says_what_was_run_and_the_answer(report: ReportData, tmp_path: Path) -> None:
    text = re.sub(r"\s+", " ", Outline(written(report, tmp_path)).text)
    assert "1 learned variant and 1 baseline on synthetic data: 11 of 12 pairs of slices used" in text
    assert "40 test patches, 2 seeds for each learned variant. Voxels: 64 × 32 × 32 nm (Z × Y × X)" in text
    assert "Pix2pix beats the best baseline, Identity: PSNR +2.50 dB, SSIM +0.200." in text
    assert "16.50 ± 0.10 against 14.00 ± 0.10 dB (Identity)" in text
    assert "SEM007: turned by 21 degrees; similarity 0.01" in text
    places = [text.index(words) for words in ("11 of 12", "beats the best", "do not show", "Slices", "Figure 1.")]
    assert places == sorted(places)


def test_nothing_points_outside(report: ReportData, tmp_path: Path) -> None:
    html = written(report, tmp_path)
    # one address may be read: the user's own machine, in the words on web viewers
    assert not re.search(r"https?:(?!//localhost)|@import|url\(", html)
    page = Outline(html)
    loaded = [attributes["src"] for _, attributes in page.tags if "src" in attributes]
    assert loaded
    assert all(source and source.startswith("data:") for source in loaded)
    links = [link["href"] or "" for link in page.all("a")] + [link["href"] or "" for link in page.all("link")]
    assert all(re.match(r"#|data:|[\w.]", link) and "://" not in link for link in links)


def test_its_policy_allows_its_own_script_and_style_alone(report: ReportData, tmp_path: Path) -> None:
    html = written(report, tmp_path)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    for tag in ("script", "style"):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy[1]
    assert not re.search(r"<[^>]* (style|on\w+)=", html.replace(content[0], ""))


def test_volumes_are_linked_from_where_the_report_lies(report: ReportData, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    report["samples"][0]["volumes"] = [{"variant": "a", "path": str(folder / "shale 1/volumes/a/sem.ome.zarr")}]
    html = written(report, folder)
    assert 'href="shale%201/volumes/a/sem.ome.zarr/"' in html
    for program in ("napari --plugin napari-ome-zarr", "HDF5/N5/Zarr/OME-NGFF", "Neuroglancer"):
        assert program in html


def test_every_figure_is_inside_with_caption_and_words_for_the_blind(report: ReportData, tmp_path: Path) -> None:
    page = Outline(written(report, tmp_path))
    plates = [image for image in page.all("img") if (image["src"] or "").startswith("data:image/png")]
    for index, (figure, image) in enumerate(zip(report["samples"][0]["figures"], plates, strict=True)):
        content = base64.b64decode((image["src"] or "").split(",")[1])
        assert content == Path(figure["path"]).read_bytes()
        assert image["alt"] == f"Plate {index}"
        assert f"Caption {index}" in page.text
    assert all(image.get("alt") for image in page.all("img"))


def test_large_figures_are_embedded_smaller(report: ReportData, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (1000, 3000)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "large.png")
    report["samples"][0]["figures"] = [{"title": "Large", "caption": "Noise", "path": tmp_path / "large.png"}]
    plate = next(image for image in Outline(written(report, tmp_path)).all("img") if image["alt"] == "Large")
    with Image.open(io.BytesIO(base64.b64decode((plate["src"] or "").split(",")[1]))) as image:
        assert (image.format, image.size) == ("WEBP", (2400, 800))


def test_viewer_holds_every_slice(report: ReportData, tmp_path: Path) -> None:
    html = written(report, tmp_path)
    found = re.search(r'<script type="application/json" class="meta">(.*?)</script>', html, re.DOTALL)
    assert found
    meta = json.loads(found[1])
    assert (meta["shape"], meta["voxelNm"], meta["zStep"]) == ([3, 48, 64], [128.0, 64.0, 64.0], 2)
    assert [volume["name"] for volume in meta["volumes"]] == ["TXM", "Prediction"]
    strips = re.findall(r'<script type="text/plain" class="strip">(.*?)</script>', html, re.DOTALL)
    assert [len(strip.split("\n")) for strip in strips] == [3, 3]
    with Image.open(io.BytesIO(base64.b64decode(strips[1].split("\n")[2]))) as image:
        np.testing.assert_allclose(np.asarray(image)[0], 255 - 4 * np.arange(64), atol=6)


def test_a_plane_is_shown_between_its_levels_and_averaged() -> None:
    plane = np.kron(np.array([[100, 200], [150, 400]], np.uint16), np.ones((16, 16), np.uint16))
    plane[::2] += 10
    with Image.open(io.BytesIO(encode_plane(plane, 105, 205, (16, 16), 95))) as image:
        shown = np.asarray(image)
    np.testing.assert_allclose(shown[::8, ::8], [[0, 255], [127, 255]], atol=3)


def test_hostile_names_stay_words(report: ReportData, tmp_path: Path) -> None:
    harmless = Outline(written(report, tmp_path))
    sample = report["samples"][0]
    sample["name"] = sample["description"] = sample["source"] = HOSTILE
    sample["warnings"] = [HOSTILE]
    sample["table"][0]["label"] = HOSTILE
    sample["figures"][0]["caption"] = HOSTILE
    sample["volumes"][0]["path"] = HOSTILE
    sample["beyond"] = [HOSTILE]
    hostile_row = dict.fromkeys(("title", "unit", "value", "interval", "rock", "truth"), HOSTILE)
    texts = {"variant": HOSTILE, "why": HOSTILE, "dominating": HOSTILE}
    sample["answer"] = {**texts, "rows": [hostile_row], "missing": [HOSTILE], "xrays": None}
    sample["tables"][0]["columns"] = [(HOSTILE, HOSTILE, 3)]
    sample["tables"][0]["rows"] = [{HOSTILE: HOSTILE}]
    viewer = sample["viewer"]
    assert viewer
    viewer["volumes"][1]["name"] = HOSTILE
    viewer["left_out"] = [HOSTILE]
    report["settings_yaml"] = report["title"] = HOSTILE
    page = Outline(written(report, tmp_path))
    assert len(page.all("script")) == len(harmless.all("script"))
    assert len(page.all("img")) == len(harmless.all("img"))
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert page.text.count('alert("1")') >= 6


def test_same_report_same_bytes(report: ReportData, tmp_path: Path) -> None:
    assert written(copy.deepcopy(report), tmp_path) == written(report, tmp_path)


@pytest.mark.parametrize(("file", "version", "zarr"), [("zarr.json", "0.5", 3), (".zgroup", "0.4", 2)])
def test_the_version_of_the_volumes_is_said(
    report: ReportData, tmp_path: Path, file: str, version: str, zarr: int
) -> None:
    path = tmp_path / "sem.ome.zarr"
    path.mkdir()
    (path / file).touch()
    report["samples"][0]["volumes"] = [{"variant": "a", "path": str(path)}]
    html = written(report, tmp_path)
    assert " ".join(f"OME-Zarr ({version}, Zarr {zarr})".split()) in " ".join(html.split())
    assert f"zarr{zarr}://http://localhost:8000/sem.ome.zarr" in html


def test_report_without_viewer_volumes_and_table(report: ReportData, tmp_path: Path) -> None:
    sample = report["samples"][0]
    sample["viewer"] = None
    sample["volumes"] = sample["tables"] = sample["table"] = sample["pairs_refused"] = sample["warnings"] = []
    text = Outline(written(report, tmp_path)).text
    assert "Volumes to open" not in text
    assert "Figures" in text


def test_unknown_voxel_size_is_said_and_draws_no_scale_bar(report: ReportData, tmp_path: Path) -> None:
    sample = report["samples"][0]
    sample["voxel_size_nm"] = (None, None, None)
    viewer = sample["viewer"]
    assert viewer
    viewer["voxel_nm"] = (None, None, None)
    html = written(report, tmp_path)
    assert "not recorded" in Outline(html).text
    assert '"voxelNm": [null, null, null]' in html


def test_numbers_that_are_missing_are_dashes(report: ReportData, tmp_path: Path) -> None:
    html = written(report, tmp_path)
    assert "Odd figure" in html
    assert re.search(r'data-value="nan">–<', html)


@pytest.mark.parametrize(
    ("rows", "status", "words"),
    [
        ([row("a", "learned", 16, 0.6), row("b", "baseline", 15, 0.5)], "yes", "A beats the best baseline, B"),
        (
            [row("a", "learned", 16, 0.4), row("b", "baseline", 15, 0.5)],
            "partly",
            "PSNR says yes (+1.00 dB), SSIM says no",
        ),
        (
            [row("a", "learned", 14, 0.6), row("b", "baseline", 15, 0.5)],
            "partly",
            "PSNR says no (−1.00 dB), SSIM says yes",
        ),
        ([row("a", "learned", 14, 0.4), row("b", "baseline", 15, 0.5)], "no", "does not reach the best baseline, B"),
        ([row("a", "learned", 15, 0.5), row("b", "baseline", 15, 0.5)], "undecided", "differ by no more than noise"),
        ([row("a", "learned", 15.2, 0.6), row("b", "baseline", 15, 0.5)], "partly", "PSNR is undecided (+0.20 dB)"),
        (
            [row("a", "learned", 14, 0.51), row("b", "baseline", 15, 0.5)],
            "no",
            "PSNR says no (−1.00 dB), SSIM is undecided",
        ),
        (
            [row("a", "learned", 16, 0.6, stderr=math.nan), row("b", "baseline", 15, 0.5)],
            "undecided",
            "A against the best baseline, B: too few slices to tell (PSNR +1.00 dB",
        ),
        ([row("a", "learned", 16, 0.6)], "open", "no baseline"),
        ([row("b", "baseline", 15, 0.5)], "open", "No learned variant"),
    ],
)
def test_answer(rows: list[Any], status: str, words: str) -> None:
    (verdict,) = verdicts(rows)
    assert verdict.status == status
    assert words in verdict.headline


def test_a_paired_test_decides_what_the_errors_of_the_means_cannot() -> None:
    rows: list[Any] = [row("net", "learned", 15.2, 0.6), row("map", "baseline", 15, 0.5)]
    test: Any = {"first": "net", "second": "map", "score": "psnr", "unit": "slice", "slices": 12}
    test |= {"difference": 0.2, "low": 0.15, "high": 0.25}
    turned = {**test, "first": "map", "second": "net", "difference": -0.2, "low": -0.25, "high": -0.15}
    (unpaired,), (paired,) = verdicts(rows), verdicts(rows, [test])
    assert verdicts(rows, [turned]) == [paired]
    assert [finding.status for finding in unpaired.findings] == ["undecided", "yes"]
    assert [finding.status for finding in paired.findings] == ["yes", "yes"]
    assert "0.150 to 0.250 dB (95 %, paired, over 12 slices), beyond noise" in paired.findings[0].text
    (other,) = verdicts(rows, [{**test, "second": "another"}])
    assert other == unpaired


@pytest.mark.parametrize("tested", [True, False])
def test_of_one_slice_nothing_is_decided(tested: bool) -> None:
    """However large the difference: nobody can say how much another slice would differ."""
    rows: list[Any] = [
        {**row("net", "learned", 25, 0.9), "slices": 1},
        {**row("map", "baseline", 15, 0.5), "slices": 1},
    ]
    test: Any = {"first": "net", "second": "map", "unit": "slice", "slices": 1, "low": math.nan, "high": math.nan}
    tests = [{**test, "score": score, "difference": 1.0} for score in ("psnr", "ssim")] if tested else []
    (verdict,) = verdicts(rows, tests)
    assert verdict.status == "undecided"
    assert "too few slices to tell" in verdict.headline
    assert all("too few slices to tell" in finding.text for finding in verdict.findings)
    assert "noise" not in verdict.headline + "".join(finding.text for finding in verdict.findings)


def test_of_two_slices_the_margin_is_student_s() -> None:
    rows: list[Any] = [
        {**row("net", "learned", 16, 0.9), "slices": 2},
        {**row("map", "baseline", 15, 0.5), "slices": 2},
    ]
    (verdict,) = verdicts(rows)  # a difference of 7 combined standard errors, and a factor of 12.7
    assert [finding.status for finding in verdict.findings] == ["undecided", "yes"]


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
    assert [finding.rival for finding in first.findings] == ["Filter", "Map"]
    assert "Bicubic" in second.headline


def test_a_further_table_shows_means_with_their_errors(report: ReportData, tmp_path: Path) -> None:
    rows = [{"label": "a", "psnr_mean": 24.31, "psnr_stderr": 0.00944, "ssim_mean": 0.5, "ssim_stderr": math.nan}]
    columns = [("label", "Variant", 3), ("psnr_mean", "PSNR", 2), ("ssim_mean", "SSIM", 3)]
    table: Any = {"key": "repair", "title": "Repair", "note": "", "columns": columns, "rows": rows}
    report["samples"][0]["tables"] = [table]
    page = written(report, tmp_path)
    assert 'data-value="24.31">24.3100 ± 0.0094</td>' in page
    assert 'data-value="0.5">0.500</td>' in page


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.12345, "0.123"),
        (-2.0, "−2.000"),
        (3, "3"),
        (math.nan, "–"),
        (math.inf, "∞"),
        (2.5e-17, "2.50×10⁻¹⁷"),
        (None, "–"),
    ],
)
def test_numbers_as_words(value: Any, words: str) -> None:
    assert number(value, 3) == words


def test_mistakes_are_named_and_leave_no_file(report: ReportData, tmp_path: Path) -> None:
    broken = copy.deepcopy(report)
    broken["samples"][0]["figures"][0]["path"] = tmp_path / "missing.png"
    with pytest.raises(InputError, match=r"missing\.png"):
        write_report(tmp_path / "new.html", broken)
    uneven = copy.deepcopy(report)
    small = encode_plane(np.zeros((4, 4)), 0, 255, (4, 4), 90)
    uneven["samples"][0]["viewer"]["volumes"][0]["slices"] = [small] * 3  # type: ignore[index]
    with pytest.raises(InputError, match=r"TXM, slice 0: .* not 4 x 4"):
        write_report(tmp_path / "new.html", uneven)
    uneven["samples"][0]["viewer"]["volumes"][0]["slices"] = []  # type: ignore[index]
    with pytest.raises(InputError, match=r"TXM: .* 3 slices, not 0"):
        write_report(tmp_path / "new.html", uneven)
    report["samples"] = []
    with pytest.raises(InputError, match="no sample"):
        write_report(tmp_path / "new.html", report)
    assert not (tmp_path / "new.html").exists()


ANSWER: dict[str, Any] = {
    "variant": "flow",
    "why": "it draws samples",
    "rows": [
        {"title": "Porosity", "unit": "%", "value": "14.0", "interval": "13.5 to 14.6", "rock": "12 to 16", "truth": ""}
    ],
    "missing": ["Permeability was not solved."],
    "dominating": "For porosity, it is the training.",
    "xrays": {"status": "partly", "text": "The TXM differs by 1.5 times its noise."},
}


def test_the_rock_comes_before_the_verdict(report: ReportData, tmp_path: Path) -> None:
    picture = {"title": "Predicted", "kind": "jpeg", "content": encode_plane(np.zeros((8, 9)), 0, 255, (8, 9), 90)}
    answer = {**ANSWER, "pictures": [picture], "caption": "Bar: 2 µm."}
    report["samples"] = [{**report["samples"][0], "answer": answer}]  # type: ignore[typeddict-item,list-item]
    page = Outline(written(report, tmp_path))
    text = re.sub(r"\s+", " ", page.text)
    parts = [
        "The rock",
        "Another training, 90 % This rock, 90 %",
        "14.0 13.5 to 14.6 12 to 16 %",
        "Do the X-rays agree?",
        "differs by 1.5",
        "speaks for",
        "held the truth in a third of the cases",
    ]
    parts += ["Permeability was not solved.", "Bar: 2 µm.", "Which variant is best", "beat the best baseline"]
    places = [text.index(part, text.index("phantom")) for part in parts]
    assert places == sorted(places)
    assert "Truth" not in text[places[0] : places[3]]
    (shown,) = (image for image in page.all("img") if image["alt"] == "Predicted")
    assert (shown["width"], shown["height"]) == ("9", "8")


@pytest.mark.parametrize(("digits", "text"), [(-3, "12,300 11,000 to 13,600"), (1, "12345.0 10987.0 to 13579.0")])
def test_an_interval_stands_below_its_number(report: ReportData, tmp_path: Path, digits: int, text: str) -> None:
    rows = [{"label": "flow", "k": 12345.0, "k_low": 10987.0, "k_high": 13579.0, "p": 0.1, "p_low": math.nan}]
    columns = [("label", "Variant", 3), ("k", "Permeability", digits), ("p", "Porosity", digits)]
    table = {"key": "rock", "title": "Rock", "note": "", "columns": columns, "rows": rows}
    report["samples"] = [{**report["samples"][0], "tables": [table]}]  # type: ignore[typeddict-item,list-item]
    shown = re.sub(r"\s+", " ", Outline(written(report, tmp_path)).text)
    assert text in shown
    assert "nan" not in shown.split("Permeability")[1][:120]


def test_several_samples_are_listed_first_with_their_answers(report: ReportData, tmp_path: Path) -> None:
    other = copy.deepcopy(report["samples"][0])
    other["name"] = "rock"
    other["table"] = [row("a", "learned", 14, 0.4), row("b", "baseline", 15, 0.5)]
    other["answer"] = {**ANSWER, "rows": [], "xrays": None}
    report["samples"] = [{**report["samples"][0], "answer": ANSWER}, other]  # type: ignore[typeddict-item]
    index = Outline(written(report, tmp_path))
    text = re.sub(r"\s+", " ", index.text)
    head = "Sample Porosity X-rays Beats the baseline Warnings"
    assert f"{head} phantom 14.0 %13.5 to 14.6 Partly Yes 1 rock – – No 1" in text
    assert "preset: corrected" in text
    links = [link["href"] for link in index.all("a") if (link["href"] or "#")[0] != "#"]
    assert links == ["phantom/report.html", "rock/report.html"]
    assert not index.all("figure")
    for name in ("phantom", "rock"):
        page = Outline((tmp_path / name / "report.html").read_text(encoding="utf-8"))
        assert page.text.strip().startswith(f"{name} – Shale")
        assert "preset: corrected" not in page.text  # said once, on the index
        identities = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(identities) == len(set(identities))
        assert len([figure for figure in page.all("figure") if figure.get("class") == "plate"]) == 2
        inside = {link["href"] for link in page.all("a") if (link["href"] or "#")[0] == "#"}
        assert inside <= {f"#{identity}" for identity in identities}
        assert "../report.html" in [link["href"] for link in page.all("a")]
        assert any((link["href"] or "").endswith("/sem.ome.zarr/") for link in page.all("a"))


def noisy_figure(path: Path, seed: int, size: tuple[int, int] = (450, 800)) -> Path:
    """A figure that hardly gets smaller by compression."""
    Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*size, 3)).astype(np.uint8)).save(path)
    return path


def test_a_page_of_25_variants_and_5_seeds_is_below_25_megabytes(report: ReportData, tmp_path: Path) -> None:
    """Each variant has figures of its own, and rows in every table; the viewer is full."""
    variants = [f"variant {number}" for number in range(25)]
    noise = np.random.default_rng(0).integers(0, 255, (48, 64)).astype(np.uint8)
    plane = encode_plane(noise, 0, 255, (48, 64), 90)
    sample = report["samples"][0]
    shown = [
        {"name": name, "role": "prediction", "low": 0.0, "high": 255.0, "slices": [plane] * 300}
        for name in variants[:20]
    ]
    while len(shown) * 300 * len(plane) * 4 / 3 < VIEWER_BYTES:
        shown.append({**shown[0], "name": f"volume {len(shown)}"})
    rows = [{"label": name, "seed": seed, "fraction_0": 0.1} for name in variants for seed in range(5)]
    drawn = [noisy_figure(tmp_path / f"large{number}.png", number) for number in range(5)]
    figures = [{"title": f"{kind} of {name}", "caption": "Noise", "path": drawn[number % 5]}
               for number, name in enumerate(variants) for kind in ("Sections", "Maps")]  # fmt: skip
    small = noisy_figure(tmp_path / "small.png", 7, (40, 60))
    sample.update(  # type: ignore[call-arg]
        table=[row(name, "learned", 16 + number / 10, 0.6) for number, name in enumerate(variants)],
        tables=[{**sample["tables"][0], "rows": rows}],
        figures=[*figures, {"title": "Small", "caption": "As it is", "path": small}],
        viewer={**sample["viewer"], "volumes": shown, "shape": (300, 48, 64)},  # type: ignore[dict-item]
    )
    html = written(report, tmp_path)
    assert 0.8 * MOST_BYTES < len(html.encode()) <= MOST_BYTES < 25e6
    page = Outline(html)
    plates = [image for image in page.all("img") if image["alt"] and " of variant" in image["alt"]]
    assert len(plates) == 50
    assert all(int(image["width"] or 0) < 800 for image in plates)
    embedded = next(image for image in page.all("img") if image["alt"] == "Small")
    assert base64.b64decode((embedded["src"] or "").split(",")[1]) == small.read_bytes()
    assert page.text.count("Here in fewer bytes") == 50  # with a link to the file


def test_figures_that_cannot_fit_are_linked_and_not_embedded(
    report: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("txm2sem_core.report.page.page.MOST_BYTES", 200_000)
    large = noisy_figure(tmp_path / "large figure.png", 0)
    report["samples"][0]["figures"] = [{"title": f"Large {i}", "caption": "Noise", "path": large} for i in range(9)]
    html = written(report, tmp_path)
    assert len(html) <= 200_000
    page = Outline(html)
    assert not [image for image in page.all("img") if (image["alt"] or "").startswith("Large")]
    assert [link["href"] for link in page.all("a")].count("large%20figure.png") == 9
    assert "It is too large for this page" in page.text
