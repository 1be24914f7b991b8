"""Elementary functions on a CPU, called once by one thread before several threads call them at once.

Intel's library (MKL before 2025.0, as in PyTorch's wheels) chooses how it computes such a function when it is first
called. Where two threads make that call together, one of them may compute its part with 14 instead of 24 bits
(pytorch/pytorch#188792): of a process's first prediction, half a plane was off by 5e-5 of its values in one process of
four.
"""

from __future__ import annotations

import torch

FUNCTIONS = (
    *("acos", "asin", "atan", "cos", "erf", "erfc", "erfinv", "exp", "expm1", "log", "log10", "log1p", "log2"),
    *("sin", "sqrt", "tan", "tanh", "trunc"),
)  # all that PyTorch may hand over, as a user's own network may call any


def make_first_calls() -> None:
    """Call them, which takes two milliseconds."""
    for dtype in (torch.float32, torch.float64):
        one = torch.ones(1, dtype=dtype)
        for name in FUNCTIONS:
            getattr(torch, name)(one)
