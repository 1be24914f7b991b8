"""What conftest and tests both do to the page."""

from __future__ import annotations

from typing import Any


def set_size(browser: Any, width: int, height: int, *, mobile: bool = False) -> None:
    """Size of the page in CSS pixels."""
    size = {"width": width, "height": height, "deviceScaleFactor": 2 if mobile else 1, "mobile": mobile}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": mobile})
