"""What the images of several scans of one rock are called."""

from __future__ import annotations


def name_of_scan(number: int) -> str:
    """What the TXM images of a scan are called, from 1 on: `txm`, `txm_2`, and so on."""
    return "txm" if number == 1 else f"txm_{number}"
