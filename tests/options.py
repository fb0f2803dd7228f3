"""The training program's options, as they are when it is called."""

from __future__ import annotations

import dataclasses
from typing import Any

import typer.main

from dexhand_env import cli
from dexhand_env.commands.options import TrainOptions


def train_options(**typed: Any) -> TrainOptions:
    """The program's defaults but for what is typed."""
    context = typer.Context(typer.main.get_command(cli.train_program()))
    values = {parameter.name: parameter.get_default(context) for parameter in context.command.params}
    known = {field.name for field in dataclasses.fields(TrainOptions)}
    chosen = {name: value for name, value in {**values, **typed}.items() if name in known}
    return TrainOptions(**{**chosen, "overrides": (), "typed": frozenset(typed)})
