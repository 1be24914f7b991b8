"""A synthetic shale with a known truth, and what a TXM and a FIB-SEM would record of it.

- `phases`: the minerals, their attenuation and backscatter coefficients
- `fields`, `grains`, `placement`, `rock`: the rock
- `sem`, `txm`: the two microscopes
- `placing`: how a FIB-SEM image lies on the TXM slice
- `stage`: all of it, into a folder
"""

from txm2sem_core.phantom.stage import make_phantom

__all__ = ["make_phantom"]
