"""The application that every command of `txm2sem` is registered with, and the groups that `--help` lists them in."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import typer
from typer.core import TyperGroup


class Group(StrEnum):
    """Groups of commands, in the order of `--help`; a command names its own as `rich_help_panel`."""

    START = "Start"
    STAGES = "Stages, each alone"
    MODELS = "Models"
    JUDGING = "Judging"


class GroupedCommands(TyperGroup):
    """Commands under the headings of their groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write them for `--help`: names and first sentences."""
        widest = max(map(len, self.commands))
        for group in Group:
            own = {name: one for name, one in self.commands.items() if getattr(one, "rich_help_panel", "") == group}
            limit = formatter.width - widest - 6
            rows = [(name.ljust(widest), one.get_short_help_str(limit)) for name, one in own.items()]
            with formatter.section(group):
                formatter.write_dl(rows)


app = typer.Typer(
    cls=GroupedCommands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Predict FIB-SEM volumes from TXM volumes, and show whether they can be believed.",
)
