"""The allowed content of `model.json`, checked before any of it is used, as it may come from a stranger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from txm2sem_core.config import Settings, validated
from txm2sem_core.config.base import Fraction, Positive, Seed, Text, Width
from txm2sem_core.errors import ConfigError, InputError
from txm2sem_core.intensity.histograms import QUANTILES

Grey = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=64)]
Length = Positive | None
Dtype = Literal["uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64"]


STRICT = ConfigDict(extra="forbid", frozen=True, strict=True)  # what is checked is used as it stands: no "1" for 1


class Range(Settings):
    """The intensities that become -1 and 1."""

    model_config = STRICT

    low: Grey
    high: Grey

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low must be less than high, they are {self.low:g} and {self.high:g}")
        return self


class Ranges(Settings):
    """Of both modalities."""

    model_config = STRICT

    txm: Range
    sem: Range


class Prepared(Settings):
    """What was done to the TXM slices."""

    model_config = STRICT

    equalise: Fraction = 0.0
    contrast: Positive = 1.0


class DistributionValues(Settings):
    """The distribution of the training slices' intensities (see `intensity.TrainingDistribution`)."""

    model_config = STRICT

    quantiles: Annotated[list[Grey], Field(min_length=QUANTILES, max_length=QUANTILES)]
    within: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Histograms(Settings):
    """Of the modalities that are compared with a volume."""

    model_config = STRICT

    txm: DistributionValues


class FurtherScan(Settings):
    """Of a further scan of the rock, what `normalisation`, `histograms` and `txm_dtype` are of the first."""

    model_config = STRICT

    range: Range
    histogram: DistributionValues
    dtype: Dtype | None = None


class Generator(BaseModel):
    """Arguments of `build_generator`; it knows which names there are, and refuses other arguments."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Text
    in_channels: Count = 1
    out_channels: Count = 1
    width: Width = 64
    factor: Annotated[int, Field(ge=1, le=64)] = 1
    norm: Text = "batch"
    dropout: bool = False
    init: Text = "normal"
    init_gain: Positive = 0.02
    flow_steps: Annotated[int, Field(ge=0, le=100)] = 0
    seed: Seed | None = None


class Plugin(Settings):
    """The file that registered the generator, or family, by name: it is never run because a model names it."""

    model_config = STRICT

    file: Text
    sha256: Text = ""


class Description(BaseModel):
    """All keys that a prediction reads; others are only shown."""

    model_config = ConfigDict(extra="allow", strict=True)

    generator: Generator
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    normalisation: Ranges | None = None
    further_scans: Annotated[list[FurtherScan], Field(max_length=8)] = []
    preparation: Prepared = Prepared()
    histograms: Histograms | None = None
    sem_dtype: Dtype = "uint8"
    txm_dtype: Dtype | None = None  # of the training TXM slices; None where they were prepared, or it is not known
    voxel_size_nm: Annotated[list[Length], Field(min_length=3, max_length=3)] = [None, None, None]
    inference_mode: Literal["evaluation", "batch_statistics"] = "evaluation"
    family: Text = ""
    plugin: Plugin | None = None
    family_plugin: Plugin | None = None
    settings: dict[str, Any] = {}  # checked where the family is known


class Checked(dict[str, Any]):
    """A description; a missing key is the user's mistake, not a fault of ours."""

    def __init__(self, values: dict[str, Any], path: Path) -> None:
        super().__init__(values)
        self.path = path

    def __missing__(self, key: str) -> Any:
        raise InputError(f"{self.path}: key {key!r} is missing. Make the model again.")


def check_description(values: Any, path: Path) -> dict[str, Any]:
    """The description as it is, if what is read of it has the right types and bounds.

    Raises:
        InputError: names the file, the key, the value and the rule.
    """
    for key, kind in (("generator", dict), ("weights_sha256", str)):
        if not isinstance(values, dict) or not isinstance(values.get(key), kind):
            raise InputError(f"{path}: key {key!r} is missing or is not a {kind.__name__}. Make the model again.")
    try:
        validated(Description, values, "", str(path))
    except ConfigError as error:
        message = str(error).replace("config/README.md describes this key.", "Make the model again.")
        raise InputError(message) from error
    return Checked(values, path)
