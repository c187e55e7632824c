"""`face-import keys`: API keys."""

from typing import Annotated

import typer
from rich.table import Table

from face_import.cli.terminal import stdout
from face_import.domain.limits import check_group_name
from face_import.keys import KeyFile
from face_import.settings import get_settings

app = typer.Typer(no_args_is_help=True, help="API keys: add, list, revoke.")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Owner of the key.")],
    group: Annotated[list[str] | None, typer.Option(help="Group to give access to; repeatable. Default: all.")] = None,
) -> None:
    """Create a key and print it. It cannot be shown again: only its hash is stored."""
    settings = get_settings()
    for one in group or ():
        check_group_name(one, settings)
    stdout.print(KeyFile.of(settings).add(name, tuple(group) if group else None), markup=False)


@app.command("list")
def list_keys() -> None:
    """List the keys with their groups."""
    table = Table("key", "groups", "created")
    for name, key in KeyFile.of(get_settings()).read().items():
        table.add_row(name, "all" if key.groups is None else ", ".join(key.groups), key.created_at)
    stdout.print(table)


@app.command()
def revoke(name: Annotated[str, typer.Argument(help="Owner of the key.")]) -> None:
    """Revoke a key."""
    KeyFile.of(get_settings()).revoke(name)
    stdout.print(f"revoked {name}", markup=False)
