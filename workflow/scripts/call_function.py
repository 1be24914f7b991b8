"""Call a function of the package with the inputs, params and wildcards of a rule that its parameters are named after.

What is JSON becomes what the parameter's type says; an empty text is None where that is allowed. The function's
`outputs` are the files of the rule.
"""

import importlib
import inspect
from pathlib import Path
from typing import get_type_hints

from common import logged
from pydantic import TypeAdapter

AS_THEY_ARE = (str, Path, Path | None)


def value_of(given, kind):
    """What a rule gives, as a type."""
    adapter = TypeAdapter(kind)
    if isinstance(given, str) and kind not in AS_THEY_ARE:
        return adapter.validate_json(given)
    return adapter.validate_python(None if given == "" and kind is not str else given)


with logged(snakemake):
    module, _, name = snakemake.script.partition(":")
    function = getattr(importlib.import_module(f"txm2sem_core.{module}"), name)
    given = vars(snakemake.input) | vars(snakemake.wildcards) | vars(snakemake.params)
    given["outputs"] = list(snakemake.output)
    kinds = get_type_hints(function)
    function(
        **{key: value_of(given[key], kinds[key]) for key in inspect.signature(function).parameters if key in given}
    )
