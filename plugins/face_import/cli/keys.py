"""`face-import keys`: who may use the API."""

from typing import Annotated

import typer
from rich.table import Table

from face_import.cli.terminal import output
from face_import.domain.limits import check_group_name
from face_import.keys import KeyFile
from face_import.settings import get_settings

app = typer.Typer(no_args_is_help=True, help="API keys: add, list, revoke.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    group: Annotated[list[str] | None, typer.Option(help="A group it is for, once for each; default: all.")] = None,
) -> None:
    """Make a key and print it: this once, since only its hash is kept."""
    settings = get_settings()
    for one in group or ():
        check_group_name(one, settings)
    output.print(KeyFile.of(settings).add(name, tuple(group) if group else None), markup=False)


@app.command("list")
def list_keys() -> None:
    """Show the keys' names and groups."""
    table = Table("key", "groups", "made")
    for name, key in KeyFile.of(get_settings()).read().items():
        table.add_row(name, "all" if key.groups is None else ", ".join(key.groups), key.created_at)
    output.print(table)


@app.command()
def revoke(name: str) -> None:
    """Refuse a key from now on."""
    KeyFile.of(get_settings()).revoke(name)
    output.print(f"revoked {name}", markup=False)
