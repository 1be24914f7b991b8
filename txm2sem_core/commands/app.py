"""The application that every command of `txm2sem` is registered with."""

from __future__ import annotations

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Predict FIB-SEM volumes from TXM volumes, and show whether they can be believed.",
)
