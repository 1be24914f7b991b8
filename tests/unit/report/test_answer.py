"""What the report says first: which variant speaks, the rock as text, what is missing, and whether the X-rays agree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from txm2sem_core import io
from txm2sem_core.measure.rock import summarise_rock
from txm2sem_core.metrics.pores.sizes import SIZES
from txm2sem_core.report.answer import NO_VOLUME, NOT_MEASURED, answer_of, best_of
from txm2sem_core.report.page import ViewerData, encode_plane
from txm2sem_core.report.picture import pictures_of

READ = ["rock_intervals.csv", "consistency.csv"]


def scored(variant: str, psnr: float, kind: str = "learned", factor: int = 1) -> dict[str, Any]:
    return {"variant": variant, "label": variant, "kind": kind, "factor": factor, "psnr_mean": psnr}


SUMMARY = [scored("map", 26, "baseline"), scored("x2", 25, factor=2), scored("net", 24), scored("flow", 22)]


@pytest.mark.parametrize(
    ("rows", "sampling", "expected", "said"),
    [
        (SUMMARY, ["flow"], "flow", "draws samples"),
        ([*SUMMARY, scored("flow2", 21)], ["flow2", "flow"], "flow", "highest PSNR of those that do"),
        (SUMMARY, [], "net", "No variant draws samples"),
        (SUMMARY[:2], [], "x2", "highest PSNR"),
        (SUMMARY[:1], [], None, ""),
    ],
)
def test_the_variant_that_speaks(rows: list[dict[str, Any]], sampling: list[str], expected: str, said: str) -> None:
    best, why = best_of(rows, sampling)
    assert (best and best["variant"]) == expected
    assert said in why


def measured(folder: Path, rocks: list[tuple[tuple[str, int | str, int], dict[str, Any]]]) -> Path:
    files = []
    for number, (_, metrics) in enumerate(rocks):
        files.append(folder / str(number) / "rock.json")
        files[-1].parent.mkdir(parents=True)
        io.write_json(files[-1], metrics)
        (files[-1].parent / "rock_distributions.csv").write_text("what,axis,x_nm,value\ntwo_point,z,0,0.1\n")
        size = f"{','.join(SIZES)}\nporosity,volume,8,8,8,1,{metrics.get('porosity', 0)},0.01,30\n"
        (files[-1].parent / "rock_sizes.csv").write_text(size)
    summarise_rock([run for run, _ in rocks], files, folder)
    return folder


def rock(porosity: float, permeability: float | None = None) -> dict[str, Any]:
    found = {"porosity": porosity, "porosity_connected_x": porosity / 2, "porosity_connected_z": porosity / 4}
    return found if permeability is None else {**found, "permeability_x_nd": permeability}


def test_two_trainings_give_intervals_in_units_that_are_read_easily(tmp_path: Path) -> None:
    runs = [(("truth", "", 1), rock(0.151234, 9_876.0)), (("flow", 0, 1), rock(0.14, 12_000.0))]
    folder = measured(tmp_path, [*runs, (("flow", 1, 1), rock(0.141, 12_100.0))])
    answer = answer_of(folder, READ, SUMMARY, ["flow"], "x")
    assert answer["rows"][0]["rock"] == "12.3 to 15.8"
    assert answer["rows"][1]["rock"] == ""
    assert "larger volume says more" in answer["dominating"]
    assert [(row["title"], row["value"], row["interval"], row["unit"], row["truth"]) for row in answer["rows"]] == [
        ("Porosity", "14.0", "13.5 to 14.6", "%", "15.1"),
        ("Connected porosity, along x", "7.02", "6.75 to 7.30", "%", "7.56"),
        ("Permeability, along x", "12.0", "11.5 to 12.6", "µD", "9.88"),
    ]
    assert answer["missing"] == []
    assert answer["xrays"] is None  # no table


def test_a_share_of_less_than_nothing_is_not_shown(tmp_path: Path) -> None:
    folder = measured(tmp_path, [(("flow", seed, 1), rock(0.02 + 0.1 * seed)) for seed in (0, 1)])
    porosity = answer_of(folder, READ, SUMMARY, ["flow"], "x")["rows"][0]
    assert porosity["interval"].startswith("0 to ")
    assert porosity["rock"].startswith("0 to ")


def test_what_is_missing_is_said_with_the_way_to_get_it(tmp_path: Path) -> None:
    folder = measured(tmp_path, [(("flow", 0, draw), rock(0.14 + 0.01 * draw)) for draw in (1, 2)])
    answer = answer_of(folder, READ, SUMMARY, ["flow"], "z")
    porosity, connected, permeability = answer["rows"]
    assert (porosity["value"], porosity["interval"], porosity["truth"]) == ("15.5", "", "")
    assert (connected["title"], connected["value"]) == ("Connected porosity, along z", "3.88")
    assert permeability["value"] == "–"
    seeds, flow = answer["missing"]
    assert "seeds: [0, 1, 2]" in seeds
    assert "samples of one training differ by 0.71 percentage points" in seeds
    assert "of this size by 1.0 from the rock" in seeds
    assert "flow: samples" in flow


def test_without_a_volume_or_a_measured_rock_the_answer_says_so(tmp_path: Path) -> None:
    assert answer_of(tmp_path, [], SUMMARY, [], "x")["missing"] == [NO_VOLUME]
    folder = measured(tmp_path, [(("net", 0, 1), {"not_measured": {"rock": "no phases"}})])
    assert answer_of(folder, READ, SUMMARY, [], "x")["missing"] == [NOT_MEASURED]
    assert answer_of(folder, READ, SUMMARY[:1], [], "x")["missing"] == ["No learned variant was measured."]


@pytest.mark.parametrize(("residual", "status"), [(1.2, "yes"), (1.52, "partly"), (9.0, "no")])
def test_the_x_rays(tmp_path: Path, residual: float, status: str) -> None:
    folder = measured(tmp_path, [(("net", 0, 1), rock(0.1))])
    table = pd.DataFrame({"variant": ["truth", "net"], "seed": ["", 0], "txm_residual_rms": [0.844, residual]})
    io.write_csv(folder / "consistency.csv", table)
    xrays = answer_of(folder, READ, SUMMARY, [], "x")["xrays"]
    assert xrays
    assert xrays["status"] == status
    assert "what the true volume would show by 0.84" in xrays["text"]


def viewer_of(voxel_nm: tuple[float | None, float | None, float | None]) -> ViewerData:
    planes = [np.full((24, 32), grey, np.uint8) for grey in (40, 80, 120, 160)]
    slices = [encode_plane(plane, 0, 255, (24, 32), 90) for plane in planes]
    volumes = [
        {"name": name, "role": role, "low": 0.0, "high": 255.0, "slices": slices}
        for name, role in (("TXM", "txm"), ("net", "prediction"), ("flow", "prediction"))
    ]
    return {  # type: ignore[typeddict-item]
        "volumes": volumes,
        "shape": (4, 24, 32),
        "voxel_nm": voxel_nm,
        "z_step": 2,
        "full_shape": (8, 24, 32),
        "left_out": [],
    }


def opened(path: Path, content: bytes) -> np.ndarray:
    path.write_bytes(content)
    with Image.open(path) as image:
        return np.asarray(image)


def test_pictures_of_slices_and_of_the_block(tmp_path: Path) -> None:
    pictures, caption = pictures_of(viewer_of((60.0, 30.0, 30.0)), "flow")
    assert [picture["title"] for picture in pictures] == ["TXM, measured", "FIB-SEM, predicted", "Predicted volume"]
    assert caption == "Slice z = 4 of both. Bar: 200 nm."
    section = opened(tmp_path / "s.jpg", pictures[1]["content"])
    assert section[5, 5] == pytest.approx(120, abs=3)
    assert section.max() > 240  # the bar
    block = opened(tmp_path / "b.webp", pictures[2]["content"]).astype(int)
    height, width, _ = block.shape
    assert block[2, 2, 3] == block[-2, -2, 3] == 0  # transparent beside the block
    assert block[height - 5, 5, 0] == pytest.approx(40, abs=6)  # the first slice in front
    assert block[5, width // 2, 0] > block[height // 3, width // 2, 0]  # the last slices behind, above


@pytest.mark.parametrize("label", ["", "gone"])
def test_no_pictures_of_what_the_viewer_does_not_hold(label: str) -> None:
    assert pictures_of(viewer_of((None,) * 3), label) == ([], "")
    assert pictures_of(None, label) == ([], "")


def test_without_a_voxel_size_there_is_no_bar() -> None:
    assert pictures_of(viewer_of((None, None, None)), "net")[1] == "Slice z = 4 of both."
