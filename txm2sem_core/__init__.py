"""TXM2SEM: predicted FIB-SEM volumes from TXM volumes, and the evidence that they can be believed."""

import sys

from txm2sem_core._moved import Moved

__version__ = "0.2.0"

sys.meta_path.insert(0, Moved())  # first: else a moved package finds its old modules as new ones
