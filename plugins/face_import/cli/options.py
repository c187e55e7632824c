"""Options and arguments that several commands have."""

from typing import Annotated, Any

import typer

from face_import.cli.completion import task_ids
from face_import.domain.models import LIMITS

LIMITS_PANEL = "Limits: rows with a face outside a limit fail"


def flag(name: str, text: str) -> Any:
    """An option that is on or off; without `metavar` the help would ask for a value."""
    return typer.Option(name, metavar="", help=text)


def limit_option(name: str, panel: str = LIMITS_PANEL) -> Any:
    """An option for a limit."""
    limit = LIMITS[name]
    text = f"{limit.title}, {limit.unit}; 0 means no limit."
    return typer.Option(min=0, max=limit.most, help=text, rich_help_panel=panel)


TaskId = Annotated[str, typer.Argument(metavar="ID", help="Task id.", show_default=False, autocompletion=task_ids)]
Watch = Annotated[bool, flag("--watch", "Show progress until the import ends.")]
Json = Annotated[bool, flag("--json", "Print what the API answers, a JSON document per line.")]
