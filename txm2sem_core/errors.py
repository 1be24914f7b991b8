"""The errors a user can cause and mend.

Every message says what was wrong, where (file, key, axis, value), and what to do about it. Commands and workflow
scripts print the message without a traceback; anything that is not a `Txm2semError` is a fault of ours and keeps its
traceback.
"""

from __future__ import annotations


class Txm2semError(Exception):
    """A mistake in what the program was given. `str(error)` is the whole message for the user."""


class ConfigError(Txm2semError):
    """A setting, sample table or command line option that cannot be used."""


class InputError(Txm2semError):
    """A file that is missing, unreadable, or not what its place in the workflow needs."""


class RegistrationError(Txm2semError):
    """A pair of slices that could not be brought into register."""


class TrainingError(Txm2semError):
    """A training that cannot go on: a loss that is not finite, or no usable patches."""


class OutOfMemoryError(Txm2semError):
    """A computation that needs more memory than there is."""
