"""Models, published weights and training states from strangers: refused in one line, and nothing in them is run."""

from __future__ import annotations

import io as byte_io
import json
import pickle
import resource
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile import cases, tried
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save
from saved_models import DESCRIPTION, OPTIONS, saved
from torch import Tensor

from txm2sem_core import io
from txm2sem_core.checkpoint import (
    import_reference_weights,
    load_model,
    load_training_state,
    save_model,
    save_training_state,
)
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.networks import build_generator


def with_weights(folder: Path, weights: dict[str, Tensor] | bytes) -> Path:
    """The model with other weights, and a description that names them."""
    saved(folder)
    data = weights if isinstance(weights, bytes) else save(weights)
    (folder / "generator.safetensors").write_bytes(data)
    io.write_json(
        folder / "model.json",
        {**DESCRIPTION, "weights_sha256": io.sha256_file(folder / "generator.safetensors")},
    )
    return folder


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- descriptions


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"generator": {**OPTIONS, "width": 10**9}}, "generator.width"),
        ({"generator": {**OPTIONS, "width": 8000}}, "does not belong to the network"),
        ({"generator": {**OPTIONS, "width": "2; rm"}}, "generator.width"),
        ({"generator": {**OPTIONS, "in_channels": 10**6}}, "generator.in_channels"),
        ({"generator": {**OPTIONS, "name": "../../evil.py"}}, "is not known"),
        ({"generator": {**OPTIONS, "name": ["a"]}}, "generator.name"),
        ({"generator": {**OPTIONS, "factor": 2**40}}, "generator.factor"),
        ({"normalisation": {"txm": {"low": 0, "high": 0}, "sem": {"low": 0, "high": 1}}}, "low must be less than high"),
        ({"normalisation": {"txm": {"low": "a", "high": 0}, "sem": {"low": 0, "high": 1}}}, "normalisation.txm.low"),
        ({"normalisation": 3}, "normalisation"),
        ({"sem_dtype": "object"}, "sem_dtype"),
        ({"sem_dtype": "V1000000"}, "sem_dtype"),
        ({"voxel_size_nm": [1, 2]}, "voxel_size_nm"),
        ({"voxel_size_nm": [-1, 2, 3]}, "voxel_size_nm"),
        ({"inference_mode": "training"}, "inference_mode"),
        ({"preparation": {"contrast": -1}}, "preparation.contrast"),
        ({"preparation": {"run": "x"}}, "preparation.run"),
        ({"plugin": "x"}, "plugin"),
        ({"weights_sha256": "../../etc/passwd"}, "weights_sha256"),
    ],
)
def test_descriptions_of_strangers(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    before = peak_mib()
    with pytest.raises((InputError, ConfigError)) as caught:
        load_model(saved(tmp_path / "m", **changes))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert peak_mib() - before < 500  # nothing of the size that is claimed was made


def test_a_plugin_that_a_model_names_is_never_looked_for(tmp_path: Path) -> None:
    marker = tmp_path / "run"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w')")
    for file in ("../evil.py", str(tmp_path / "evil.py")):
        folder = saved(tmp_path / "m", generator={**OPTIONS, "name": "evil"}, plugin={"file": file, "sha256": ""})
        with pytest.raises(ConfigError, match="--plugin"):
            load_model(folder)
    assert not marker.exists()


def test_a_key_that_a_prediction_needs_and_does_not_find_is_named(tmp_path: Path) -> None:
    save_model(tmp_path, build_generator(**OPTIONS, seed=0), {"generator": OPTIONS})
    with pytest.raises(InputError, match=r"model\.json: key 'normalisation' is missing"):
        load_model(tmp_path).description["normalisation"]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", "\ud800".encode(errors="surrogatepass")])
def test_json_that_breaks_readers(tmp_path: Path, text: str | bytes) -> None:
    file = saved(tmp_path) / "model.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=r"model\.json"):
        load_model(tmp_path)


# --- weights


def good() -> dict[str, Tensor]:
    return {key: value.clone() for key, value in build_generator(**OPTIONS, seed=0).state_dict().items()}


def test_weights_that_are_not_finite(tmp_path: Path) -> None:
    for value in (float("nan"), float("inf")):
        weights = good()
        weights["first_conv.weight"][0, 0, 0, 0] = value
        with pytest.raises(InputError, match=r"first_conv\.weight holds values that are not finite"):
            load_model(with_weights(tmp_path / str(value), weights))


def test_weights_of_another_kind(tmp_path: Path) -> None:
    weights = {key: value.to(torch.int32) for key, value in good().items()}
    with pytest.raises(InputError, match=r"torch\.int32 in the file"):
        load_model(with_weights(tmp_path / "m", weights))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 64)
        + b'{"a":{"dtype":"F32","shape":[9000000000],"data_offsets":[0,4]}}'.ljust(64)
        + b"\0" * 4,
        struct.pack("<Q", 61) + b'{"a":{"dtype":"X1","shape":[1],"data_offsets":[0,4],"b":1}}'.ljust(61) + b"\0" * 4,
    ],
)
def test_safetensors_that_lie(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"generator\.safetensors"):
        load_model(with_weights(tmp_path / "m", data))


# --- published weights


def bomb(compressed: bool) -> bytes:
    """A zip of a few hundred kilobytes with an entry of 256 MiB."""
    stream = byte_io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
        archive.writestr("archive/version", "3\n")
        with archive.open("archive/data/0", "w", force_zip64=True) as entry:
            for _ in range(256 if compressed else 1):
                entry.write(bytes(2**20))
    return stream.getvalue()


def test_a_zip_that_unpacks_to_more_than_it_is(tmp_path: Path) -> None:
    (tmp_path / "net_G.pth").write_bytes(bomb(compressed=True))
    assert (tmp_path / "net_G.pth").stat().st_size < 2**20
    before = peak_mib()
    with pytest.raises(InputError, match="that unpacks to"):
        import_reference_weights(tmp_path / "net_G.pth")
    assert peak_mib() - before < 100


def test_a_network_that_is_larger_than_its_weights_is_not_built(tmp_path: Path) -> None:
    """The first layer is 200,000 wide, as its own small tensor says; a U-Net of that width would take terabytes."""
    state = {
        "model.model.0.weight": torch.zeros(200_000, 1, 1, 1),
        "model.model.3.weight": torch.zeros(1, 1, 1, 1),
        "model.model.1.model.1.weight": torch.zeros(1, 1, 1, 1),
        "model.model.1.model.3.weight": torch.zeros(1, 1, 1, 1),
        "model.model.1.model.3.model.3.model.3.model.3.model.1.weight": torch.zeros(1, 1, 1, 1),
    }
    torch.save(state, tmp_path / "net_G.pth")
    before = peak_mib()
    with pytest.raises(InputError, match="net_G"):
        import_reference_weights(tmp_path / "net_G.pth")
    assert peak_mib() - before < 200


@pytest.mark.parametrize(
    "keys",
    [
        ["model.model." + "1.model." * 5000 + "weight"],
        [f"model.{n}.weight" for n in range(3000)],
        ["premodel.1.weight", "model.0.conv_block.1.weight", *(f"upsample.{n}.weight" for n in range(20_000))],
    ],
)
def test_names_that_claim_a_network_without_end(tmp_path: Path, keys: list[str]) -> None:
    torch.save({key: torch.zeros(1, 1, 1, 1) for key in keys}, tmp_path / "net_G.pth")
    with pytest.raises((InputError, ConfigError), match="net_G"):
        import_reference_weights(tmp_path / "net_G.pth")


def test_tensors_without_data(tmp_path: Path) -> None:
    torch.save({"filter.weight": torch.zeros(1, 1, 15, 15, device="meta")}, tmp_path / "net_G.pth")
    with pytest.raises(InputError, match="net_G"):
        import_reference_weights(tmp_path / "net_G.pth")


# --- any damage

PATHS: list[tuple[str, ...]] = [
    *((key,) for key in DESCRIPTION),
    *(("generator", key) for key in ("name", "width", "norm", "dropout", "factor", "init", "seed", "in_channels")),
    *(("normalisation", "txm", key) for key in ("low", "high")),
]
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


def model_with(folder: Path, path: tuple[str, ...], value: Any) -> Callable[[], object]:
    saved(folder)
    file = folder / "model.json"
    description = json.loads(file.read_text())
    place = description
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    file.write_text(json.dumps(description))

    def attempt() -> None:
        model = load_model(folder)
        assert model.generator.in_channels < 100

    return attempt


def file_with(folder: Path, kind: str, place: float, byte: int, cut: bool) -> Callable[[], object]:
    file = folder / kind
    if kind == "generator.safetensors":
        saved(folder)
    elif kind == "net_G.pth":
        torch.save(build_generator("linearfilt", seed=0).state_dict(), file)
    else:
        save_training_state(file, {"step": 1, "weights": torch.zeros(100)})
    data = bytearray(file.read_bytes())
    index = int(place * (len(data) - 1))
    if cut:
        data = data[:index]
    else:
        data[index] ^= byte
    file.write_bytes(data)
    if kind == "generator.safetensors":  # its digest fits, as a stranger would see to
        description = json.loads((folder / "model.json").read_text())
        io.write_json(folder / "model.json", {**description, "weights_sha256": io.sha256_file(file)})
        return lambda: load_model(folder)
    return lambda: import_reference_weights(file) if kind == "net_G.pth" else load_training_state(file)


damages = st.tuples(
    st.sampled_from(["generator.safetensors", "net_G.pth", "state.pt"]),
    st.floats(0, 1),
    st.integers(1, 255),
    st.booleans(),
)


@cases("checkpoints")
@given(st.tuples(st.sampled_from(PATHS), values) | damages)
def test_any_damage(tmp_path_factory: pytest.TempPathFactory, case: tuple[Any, ...]) -> None:
    folder = tmp_path_factory.mktemp("m")
    attempt = model_with(folder, *case) if len(case) == 2 else file_with(folder, *case)
    tried("checkpoints", attempt, folder)
