"""Points marked by hand, as BigWarp and napari write them, start the search, or are taken as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import ndimage
from typer.testing import CliRunner

from txm2sem_core import io
from txm2sem_core.cli import app
from txm2sem_core.config import RegisterSettings
from txm2sem_core.errors import ConfigError, InputError, RegistrationError
from txm2sem_core.geometry import centred_similarity, corner_error_px, warp
from txm2sem_core.registration import register_files, register_pairs
from txm2sem_core.registration.frames import mirroring
from txm2sem_core.registration.landmarks import matrix_of
from txm2sem_core.samples.pairs import list_pairs
from txm2sem_core.samples.table import Sample

SIDE, SEM = 160, (120, 130)
TRUTH = centred_similarity(70.0, 0.9, (10.0, -8.0), SEM, (SIDE, SIDE)) @ mirroring(SEM[1])
POINTS = np.array([[5.0, 10.0], [120.0, 15.0], [60.0, 110.0], [20.0, 90.0]])
EXACT = RegisterSettings(landmarks="exact")


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return (np.c_[points, np.ones(len(points))] @ matrix.T)[:, :2]


def bigwarp(path: Path, moving: np.ndarray, fixed: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    both = zip(moving, fixed, strict=True)
    rows = [f'"Pt-{i}","true","{m[0]}","{m[1]}","{f[0]}","{f[1]}"' for i, (m, f) in enumerate(both)]
    path.write_text("\n".join([*rows, '"Pt-9","false","1","1","Infinity","1"']) + "\n")
    return path


def napari(path: Path, points: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [f"{i},{y},{x}" for i, (x, y) in enumerate(points)]
    path.write_text("\n".join(["index,axis-0,axis-1", *rows]) + "\n")


def write(folder: Path, *, related: bool = True) -> None:
    """Two pairs of a FIB-SEM slice that is mirrored, turned, and, where it is not related, of elsewhere."""
    for i in range(2):
        rng = np.random.default_rng(i)
        scene = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
        seen = scene if related else ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 3)
        sem = warp(seen, np.linalg.inv(TRUTH), SEM, order=1)
        io.write_tiff(folder / "txm" / f"t{i}.tif", (30000 - 80000 * scene).clip(0, 65535).astype(np.uint16), None)
        io.write_tiff(folder / "sem" / f"s{i}.tif", (128 + 400 * sem).clip(1, 255).astype(np.uint8), None)


def sample(folder: Path) -> Sample:
    paths = {name: str(folder / name) for name in ("txm", "sem", "landmarks")}
    return Sample(sample="a", source="pairs", **paths)


@pytest.mark.parametrize("form", ["BigWarp", "napari"])
@pytest.mark.parametrize("use", ["start", "exact"])
def test_points_of_some_pairs_start_the_search_or_are_taken_as_they_are(form: str, use: str, tmp_path: Path) -> None:
    write(tmp_path)
    rough = moved(POINTS, TRUTH) + np.array([[1.0, -1.0], [-1.0, 0.5], [0.5, 1.0], [0.0, -1.0]])
    if form == "BigWarp":
        bigwarp(tmp_path / "landmarks" / "pair1.csv", POINTS, rough)
    else:
        napari(tmp_path / "landmarks/txm/p1.csv", rough)
        napari(tmp_path / "landmarks/sem/p1.csv", POINTS)
    pairs = list_pairs(sample(tmp_path), tmp_path)
    assert [len(pair.landmarks) for pair in pairs] == [0, 1 if form == "BigWarp" else 2]
    assert set(pairs[1].landmarks) <= set(pairs[1].files)  # so that a change of them reruns the registration
    register_pairs(pairs[1:], RegisterSettings(landmarks=use), tmp_path / "out")
    matrix = np.array(io.read_json(tmp_path / "out/transforms.json")["001"]["matrix"])
    quality = io.read_csv(tmp_path / "out/quality.csv")
    assert quality["mirrored"].all()
    if use == "start":
        assert corner_error_px(matrix, TRUTH, SEM) < 0.4
    else:
        assert_allclose(matrix, matrix_of(POINTS, rough, "similarity"))
        residual = moved(POINTS, matrix) - rough
        assert quality["disagreement_px"][0] == pytest.approx(np.sqrt((residual**2).sum(axis=1).mean()))


def test_what_was_marked_wrongly_is_refused_unless_it_is_insisted_on(tmp_path: Path) -> None:
    write(tmp_path, related=False)
    marks = bigwarp(tmp_path / "marks.csv", POINTS, moved(POINTS, TRUTH))
    files = (tmp_path / "txm/t0.tif", tmp_path / "sem/s0.tif", tmp_path / "out")
    with pytest.raises(RegistrationError, match=r"register\.landmarks: exact"):
        register_files(*files, RegisterSettings(), landmarks=marks)
    found = register_files(*files, EXACT, landmarks=marks)
    assert_allclose(found.matrix, TRUTH, atol=1e-6)


def test_the_command_takes_landmarks(tmp_path: Path) -> None:
    write(tmp_path)
    marks = bigwarp(tmp_path / "marks.csv", POINTS, moved(POINTS, TRUTH))
    named = ["--fixed", tmp_path / "txm/t0.tif", "--moving", tmp_path / "sem/s0.tif", "--output", tmp_path / "out"]
    arguments = ["register", *map(str, named), "--landmarks", str(marks), "--settings", '{"landmarks": "exact"}']
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert_allclose(io.read_json(tmp_path / "out/transform.json")["matrix"], TRUTH, atol=1e-6)


@pytest.mark.parametrize("transform", ["translation", "rigid", "similarity", "affine"])
def test_least_squares_of_each_kind(transform: str) -> None:
    angle, factor = (0.0 if transform == "translation" else 25.0), (0.7 if transform in ("similarity", "affine") else 1)
    matrix = centred_similarity(angle, factor, (3.0, 4.0), SEM, (SIDE, SIDE))
    matrix = matrix @ np.array([[1, 0.1, 0], [0, 0.9, 0], [0, 0, 1]]) if transform == "affine" else matrix
    assert_allclose(matrix_of(POINTS, moved(POINTS, matrix), transform), matrix, atol=1e-9)


def test_a_rigid_transform_of_points_has_the_stated_scale() -> None:
    matrix = centred_similarity(25.0, 0.5, (3.0, 4.0), SEM, (SIDE, SIDE))
    assert_allclose(matrix_of(POINTS, moved(POINTS, matrix), "rigid", 0.5), matrix, atol=1e-9)


WRONG: dict[str, tuple[str, str]] = {
    "three dimensions": ("a,true,1,2,3,4,5,6\n", "6 columns: name, active"),
    "one point": ("a,true,1,2,3,4\nb,false,1,2,3,4\n", "2 points or more"),
    "words": ("a,true,1,2,3,x\nb,true,1,2,3,4\n", "no number"),
    "outside": ("a,true,1,2,3,4\nb,true,10,12,3000,4\nc,true,5,6,7,8\n", "outside of the TXM slice, .* pixels"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_wrong_files_of_points_are_named_with_what_is_wrong(mistake: str, tmp_path: Path) -> None:
    text, words = WRONG[mistake]
    write(tmp_path)
    (tmp_path / "marks.csv").write_text(text)
    with pytest.raises(InputError, match=rf"marks\.csv: .*{words}"):
        register_files(tmp_path / "txm/t0.tif", tmp_path / "sem/s0.tif", tmp_path / "out", EXACT,
                       landmarks=tmp_path / "marks.csv")  # fmt: skip


def test_wrong_folders_of_points(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "landmarks").mkdir()
    with pytest.raises(InputError, match="no CSV file of landmarks"):
        list_pairs(sample(tmp_path), tmp_path)
    bigwarp(tmp_path / "landmarks/7.csv", POINTS, POINTS)
    with pytest.raises(InputError, match="no pair with the number 007"):
        list_pairs(sample(tmp_path), tmp_path)
    for name in ("txm/0.csv", "txm/1.csv", "sem/1.csv"):
        napari(tmp_path / "landmarks" / name, POINTS)
    with pytest.raises(InputError, match="landmarks of the other slice are missing"):
        list_pairs(sample(tmp_path), tmp_path)
    napari(tmp_path / "landmarks/sem/0.csv", POINTS[:3])
    with pytest.raises(InputError, match="each point needs its partner"):
        list_pairs(sample(tmp_path), tmp_path)[0].read_landmarks()


def test_a_setting_that_is_no_use_of_points() -> None:
    with pytest.raises((ConfigError, ValueError), match="start"):
        RegisterSettings(landmarks="guess")
