"""Register FIB-SEM slices to TXM slices, crop to what both cover, and refuse pairs that do not register.

- `similarity`: filters before the search, and the similarity of two slices
- `search`: a coarse search, then mutual information coarse to fine
- `estimate`: the transform of one pair, its quality metrics, and whether it is accepted
- `stage`: files in, files out
"""

from txm2sem_core.registration.estimate import Registration, estimate_transform, judge
from txm2sem_core.registration.stage import register_files, register_pairs

__all__ = [
    "Registration",
    "estimate_transform",
    "judge",
    "register_files",
    "register_pairs",
]
