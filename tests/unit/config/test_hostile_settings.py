"""Configurations and sample tables as strangers write them: handled rightly, or refused in one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hostile import cases, tried
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from txm2sem_core import io
from txm2sem_core.cli import app
from txm2sem_core.config import load_config
from txm2sem_core.config.loading import Config
from txm2sem_core.errors import ConfigError, InputError, Txm2semError
from txm2sem_core.samples.preflight import check_file, check_run
from txm2sem_core.samples.table import Row, Sample, read_samples

GOOD: dict[str, Any] = {"variants": {"a": {"family": "feedforward"}}}
NASTY = [
    "a; rm -rf ~",
    "../../x",
    "$(id)",
    "`id`",
    "<script>alert(1)</script>",
    "a\nb",
    "\0",
    "1e-4",
    "{x}",
    "é ü",
    "-rf",
]
texts = st.sampled_from(NASTY) | st.text(max_size=8)
leaves = (
    texts
    | st.none()
    | st.booleans()
    | st.integers(-10, 10)
    | st.sampled_from([1, 2, 0.5, "1", "1e-4", True])  # what may well be right
    | st.sampled_from([10**30, -1, 0, 2**31, 10**4000])
    | st.floats()
    | st.dates()
    | st.binary(max_size=4)
)
anything = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(leaves, inner, max_size=3), max_leaves=6
)


def keys() -> list[tuple[str, ...]]:
    """Every key of the configuration, nested ones too, and those of a variant."""

    def of(model: Any, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = []
        for name, field in model.model_fields.items():
            here = (*path, field.alias or name)
            found.append(here)
            if hasattr(field.annotation, "model_fields"):
                found += of(field.annotation, here)
        return found

    from txm2sem_core.config import TrainSettings

    return of(Config, ()) + of(TrainSettings, ("train",)) + of(TrainSettings, ("variants", "a"))


@cases("configs")
@given(st.lists(st.tuples(st.sampled_from(keys()), leaves | anything), max_size=2), texts, anything, st.booleans())
def test_any_value_at_any_key(changes: list[tuple[tuple[str, ...], Any]], key: str, value: Any, unknown: bool) -> None:
    values: dict[str, Any] = {"variants": {"a": {"family": "feedforward"}}}
    for path, new in changes:
        place: Any = values
        for part in path[:-1]:
            place = place.setdefault(part, {}) if isinstance(place, dict) else {}
        if isinstance(place, dict):
            place[path[-1]] = new
    if unknown:
        values[key] = value

    def attempt() -> None:
        config = load_config(values)
        for name in config.variants:
            config.variant(name).canonical_json().encode()
        config.canonical_json().encode()

    tried("configs", attempt)


@cases("sample tables")
@given(
    st.lists(
        st.sampled_from([["a", "phantom"], ["b", "pairs", "t", "s", "0:9:3"]])
        | st.lists(texts | st.sampled_from([*Row.model_fields, "phantom", "pairs", "0:9:3"]), max_size=12),
        max_size=4,
    ),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    st.sampled_from(["\t", ",", " "]),
)
def test_any_table(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], newline: str, encoding: str, separator: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "any_table.tsv"
    text = newline.join(separator.join(cells) for cells in [["sample", "source", "txm", "sem", "pair_z"], *rows])
    path.write_bytes(text.encode(encoding, errors="replace"))

    def attempt() -> None:
        for name, sample in read_samples(path).items():
            assert name == sample.sample
            assert "/" not in name
            sample.z_of_pairs(3) if sample.pair_z else None

    tried("sample tables", attempt)


# --- YAML files and the message of each

BOMB = "\n".join(
    ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
)
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "keys and values are needed"),
    "a list": (b"- a\n- b\n", "this is list"),
    "a key twice": (
        b"seeds: [0]\nvariants: {a: {family: feedforward}}\nseeds: [1]\n",
        "'seeds' stands twice, in lines 1",
    ),
    "a variant twice": (b"variants:\n  a: {family: feedforward}\n  a: {family: pix2pix}\n", "'a' stands twice"),
    "UTF-16": ("title: é\n".encode("utf-16"), "not UTF-8"),
    "Latin-1": ("title: é\n".encode("latin-1"), "not UTF-8"),
    "aliases without end": (BOMB.encode(), "stands for more than"),
    "an alias of itself": (b"a: &a [*a]\n", "stands for more than"),
    "brackets without end": (b"a: " + b"[" * 3000 + b"]" * 3000, "nested more than 32 deep"),
    "a large file": (b"# " + b"x" * 2**20 + b"\n", "characters are too many"),
    "Python": (b'title: !!python/object/apply:os.system ["touch pwned"]\n', "not YAML"),
    "Python by YTE": (b"__use_yte__: true\ntitle: ?open('pwned', 'w')\nvariants: {a: {family: feedforward}}\n", "yte"),
    "a date that is none": (b"title: 2020-99-99\n", "value cannot be read"),
    "a number of 5,000 digits": (b"seeds: [" + b"9" * 5000 + b"]\n", "value cannot be read"),
    "tabs": (b"variants:\n\ta: {}\n", "not YAML"),
    "two documents": (b"a: 1\n---\nb: 1\n", "not YAML"),
    "a list as a key": (b"? [a]\n: 1\n", "not YAML"),
    "a tag": (b"seeds: !!int x\n", "cannot be read"),
    "binary": (bytes(range(256)), "not UTF-8"),
    "control characters": (b"title: a\x00b\n", "not YAML"),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_are_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_bytes(FILES[kind][0])
    with pytest.raises(Txm2semError) as caught:
        check_file(tmp_path / "c.yaml")
    assert FILES[kind][1] in str(caught.value)
    assert "c.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_merged_keys_and_repeated_aliases_are_no_fault(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("\ufeffa: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: [*a, *a]\n", encoding="utf-8")
    assert io.read_yaml(tmp_path / "c.yaml") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 3, "y": 2},
        "c": [{"x": 1, "y": 2}] * 2,
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_what_is_no_file_is_not_read_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, "a\0b"):
        with pytest.raises(InputError):
            io.read_text(path)


def test_values_that_share_their_parts_without_end_are_counted() -> None:
    shared: Any = [1] * 9
    for _ in range(12):
        shared = [shared] * 9
    with pytest.raises(ConfigError, match="stands for more than"):
        load_config({**GOOD, "title": shared})


@pytest.mark.parametrize("name", ["", " ", "a{b}", "a<b>", "a*", "a\nb", "a\0b"])
def test_folders_of_results_that_the_workflow_would_misread(name: str) -> None:
    with pytest.raises(ConfigError, match="results_dir"):
        load_config({**GOOD, "results_dir": name})


PATHS = ("results_dir", "samples", "figures", "plugins")


def given_path(key: str, path: str) -> dict[str, Any]:
    return {**GOOD, key: [path] if key == "plugins" else path}


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("~/out", r"Write /homes/me/out\."),
        ("~", r"Write /homes/me\."),
        ("$SCRATCH/a b", r"Write /fast/a b\."),
        ("in/${SCRATCH}", r"Write in//fast\."),
        ("~/$SCRATCH", r"Write /homes/me//fast\."),
        ("$NOT_SET_ANYWHERE/x", r"\$NOT_SET_ANYWHERE is not set here. Write the path itself, or rename"),
        ("~nobody_is_called_so", r"Write \./~nobody_is_called_so\."),
    ],
)
def test_paths_that_would_have_to_be_expanded(
    monkeypatch: pytest.MonkeyPatch, key: str, path: str, remedy: str
) -> None:
    monkeypatch.setenv("HOME", "/homes/me")
    monkeypatch.setenv("SCRATCH", "/fast")
    with pytest.raises(ConfigError, match=rf"{key}.*: ~ and \$VARIABLES in paths are not expanded.*{remedy}"):
        load_config(given_path(key, path))


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("path", [" a", "a ", "", "a\nb", "a\x1bb", "a\u2028b"])
def test_paths_that_no_table_could_hold(key: str, path: str) -> None:
    with pytest.raises(ConfigError, match=key):
        load_config(given_path(key, path))


@pytest.mark.parametrize("path", ["./~", "a~", "$(id)", "$", "$1", "a,b", "it's", 'a "b"', "é", "a\\b", "#a", "a;b"])
def test_paths_that_are_taken_as_they_are(path: str) -> None:
    assert load_config({**GOOD, "results_dir": path}).results_dir == path


def test_a_plugin_s_path_without_what_parts_it_from_the_next() -> None:
    with pytest.raises(ConfigError, match=f"plugins.*a file without {os.pathsep} in its path"):
        load_config({**GOOD, "plugins": [f"a{os.pathsep}b.py"]})


def test_whole_numbers_that_no_seed_can_be() -> None:
    for key in ("phantom", "patches", "downsample"):
        for seed in (-1, 2**31, 10**30):
            with pytest.raises(ConfigError, match=rf"{key}\.seed"):
                load_config({**GOOD, key: {"seed": seed}})


# --- sample tables

HEADER = "sample\tsource\ttxm\tsem\tpair_z\tvoxel_size_nm\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a; rm -rf ~\tphantom", "column sample"),
        ("../../x\tphantom", "column sample"),
        ("$(id)\tphantom", "column sample"),
        ("<b>\tphantom", "column sample"),
        ("logs\tphantom", "as a folder of this name"),
        ("crate\tphantom", "as a folder of this name"),
        ("a\tphantom\nA\tphantom", "occurs twice"),
        ("a\tphantom\t\t\t\t\tmore", "it has 7 cells"),
        ('a\tpairs\t"one\ntwo"\tsem', "one line"),
        ('a\tpairs\t"one', "cannot be read"),
        ("a\tphantom\t\t\t\tnan,1,1", "sizes must be greater"),
        ("a\tphantom\t\t\t\tinf,1,1", "sizes must be greater"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "s.tsv").write_text(HEADER + text + "\n")
    with pytest.raises(ConfigError, match=words):
        read_samples(tmp_path / "s.tsv")


def test_a_column_that_stands_twice(tmp_path: Path) -> None:
    (tmp_path / "s.tsv").write_text("sample\tsource\tsource\na\tphantom\tpairs\n")
    with pytest.raises(ConfigError, match="a column occurs twice"):
        read_samples(tmp_path / "s.tsv")


def test_names_and_paths_that_only_look_odd(tmp_path: Path) -> None:
    rows = 'NA\tphantom\t\t\nnull\tpairs\t"in/a ""b"" #1"\tin/c\'été\n'
    for newline in ("\n", "\r\n", "\r"):
        (tmp_path / "s.tsv").write_bytes(("\ufeff" + (HEADER + rows).replace("\n", newline)).encode())
        samples = read_samples(tmp_path / "s.tsv")
        assert list(samples) == ["NA", "null"]  # no missing values, though pandas takes them for such
        assert (samples["null"].txm, samples["null"].sem) == ('in/a "b" #1', "in/c'été")


@pytest.mark.parametrize("places", ["0:1000000000000:1", f"0:{10**30}:1", "5:1"])
def test_places_without_end_are_not_counted_out(places: str) -> None:
    with pytest.raises(ConfigError, match="pair_z"):
        Sample(sample="a", source="pairs", pair_z=places).z_of_pairs(3)


# --- the entry points


def test_the_command_checks_without_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.tsv").write_text("sample\tsource\na\tphantom\n")
    (tmp_path / "f.yaml").write_text("common: {dpi: 100}\n")
    good = {**GOOD, "samples": "s.tsv", "figures": "f.yaml"}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(good))
    done = CliRunner().invoke(app, ["check", "--config", "c.yaml"])
    assert done.exit_code == 0, done.output
    assert "1 samples, 1 variants of which 1 are trained" in done.output
    assert check_run(good).config.results_dir == "results"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.yaml", "f.yaml", "s.tsv"]
    missing = CliRunner().invoke(app, ["check", "--config", "none.yaml"])
    assert isinstance(missing.exception, InputError)


@pytest.mark.slow  # each start of snakemake takes seconds
@pytest.mark.parametrize("kind", ["a key twice", "aliases without end"])
def test_snakemake_refuses_in_one_line(tmp_path: Path, kind: str) -> None:
    """Only what Snakemake itself can read comes as far as our own check."""
    root = Path(__file__).parents[3]
    (tmp_path / "c.yaml").write_bytes(FILES[kind][0])
    words = [sys.executable, "-m", "snakemake", "-s", str(root / "Snakefile"), "--dry-run", "--cores", "1"]
    words += ["--configfile", "c.yaml", "--workflow-profile", "none"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 1
    assert f"txm2sem: error: {tmp_path / 'c.yaml'}: " in done.stderr
    assert FILES[kind][1] in done.stderr
    assert "Traceback" not in done.stderr
