"""TXM2SEM: predicted FIB-SEM volumes from TXM volumes, and the evidence that they can be believed."""

__version__ = "0.1.0"
