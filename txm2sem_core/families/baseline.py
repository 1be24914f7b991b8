"""Baselines, which any network must beat: fitted at once on training patches, not trained."""

from __future__ import annotations

from txm2sem_core.families.base import Family
from txm2sem_core.families.registry import register_family


@register_family("baseline", trained=False, enlarges=None)
class BaselineFamily(Family):
    """Its generators are `networks.Baseline`s, which have a `fit`."""
