"""Register FIB-SEM slices to TXM slices, crop to what both cover, and refuse pairs that do not register.

- `similarity`: filters before the search, and the similarity of two slices
- `search`: a coarse search about the identity, then mutual information coarse to fine
- `estimate`: the transform of slices that nearly lie on each other, its quality metrics, and whether it is accepted
- `frames`, `poses`: slices of any scale, and the coarse search over all turns, mirrored or not
- `placing`: one after the other: nearly upright, else anywhere
- `volume_levels`, `volume_search`, `volume_refine`, `volume_placing`: the plane of a slice in a volume
- `volume_stack`, `spacing`, `volume_stage`: of the slices of one stack, and how far they lie apart; files in, files out
- `plane_cut`: the volume on such a plane
- `bending`: how an accepted slice is bent beside its matrix, and whether parts that had no say agree
- `landmarks`: points that someone has marked by hand
- `data_bar`: rows of a FIB-SEM slice that are no image; `curtains`: stripes taken out of it; `sem_slices`: both
- `diagnosis`, `numbering`, `neighbours`: what is wrong with refused pairs, and with a whole set
- `stage`, `tables`: files in, files out; `plane_pairs`: of a sample without TXM slices
"""

from txm2sem_core.registration.estimate import Registration, estimate_transform, judge
from txm2sem_core.registration.placing import Placed, place
from txm2sem_core.registration.plane_pairs import register_planes
from txm2sem_core.registration.spacing import Spacing
from txm2sem_core.registration.stage import register_files, register_pairs
from txm2sem_core.registration.volume_stage import is_volume, register_in_volume

__all__ = [
    "Placed",
    "Registration",
    "Spacing",
    "estimate_transform",
    "is_volume",
    "judge",
    "place",
    "register_files",
    "register_in_volume",
    "register_pairs",
    "register_planes",
]
