"""What all groups of settings are made of: kinds of values, and a closed, frozen model."""

from __future__ import annotations

import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=64)]
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1)]


def _power_of_two(value: int) -> int:
    if value not in (1, 2, 4, 8):
        raise ValueError("a factor is 1, 2, 4 or 8")
    return value


Factor = Annotated[int, AfterValidator(_power_of_two)]
Triple = tuple[Positive, Positive, Positive]


class Settings(BaseModel):
    """Base of every group of settings: closed, and frozen once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def canonical_json(self) -> str:
        """The settings as one string with sorted keys: equal settings give equal strings."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True)
