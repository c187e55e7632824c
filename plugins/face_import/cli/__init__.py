"""The `face-import` command: its sub-commands, and how failures are reported.

::

    imports, log, results, judge ──▶ sending, watch ──▶ client ── HTTP ──▶ a Face import, on this machine or another
                                       └──▶ photos
    stack ──▶ face_import.stack, face_import.keys: this machine's
"""

import os
from contextlib import suppress
from typing import Annotated

import typer

from face_import import __version__, logs
from face_import.cli import imports, judge, log, results, stack
from face_import.cli.terminal import FAILURE, stderr, stdout
from face_import.errors import ConfigError, FaceImportError
from face_import.settings import get_settings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich")


def _say_version(wanted: bool) -> None:  # noqa: FBT001 - typer's interface
    if wanted:
        stdout.print(f"face-import {__version__}", markup=False)
        raise typer.Exit


@app.callback(
    epilog="Exit status: 0 success, 1 failure, 2 usage error, 3 some rows failed"
    " (for [bold]status[/]: not running), 130 Ctrl-C."
)
def configure(
    *,
    version: Annotated[  # noqa: ARG001 - the callback has said it
        bool, typer.Option("--version", metavar="", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Import faces into face groups, locally or on a server, and run Face import on this machine."""
    with suppress(ConfigError):  # every command says it in its own way
        logs.configure(get_settings().log_level, get_settings().log_format)


_IMPORTS, _STACK, _PARTS = "Imports", "Stack", "Internals and maintenance"
# A task id may begin with a hyphen and must not be taken for an option.
_TAKES_ID = {"ignore_unknown_options": True}

app.command("import", rich_help_panel=_IMPORTS)(imports.create)
app.command("tasks", rich_help_panel=_IMPORTS)(imports.tasks)
app.command("show", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(imports.show)
app.command("log", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(log.log)
app.command("results", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(results.results)
app.command("judge", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(judge.judge)
app.command("start", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(imports.start)
app.command("undo", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(imports.undo)
app.command("retry", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(imports.retry)
app.command("limits", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(judge.limits)
app.command("stop", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(imports.stop)
app.command("delete", rich_help_panel=_IMPORTS, context_settings=_TAKES_ID)(imports.delete)

app.command("up", rich_help_panel=_STACK)(stack.up)
app.command("down", rich_help_panel=_STACK)(stack.down)
app.command("status", rich_help_panel=_STACK)(stack.status)
app.command("doctor", rich_help_panel=_STACK)(stack.doctor)

app.add_typer(stack.keys, name="keys", rich_help_panel=_STACK)

app.command("credentials", rich_help_panel=_PARTS)(stack.credentials)
app.command("migrate", rich_help_panel=_PARTS)(stack.migrate)
app.command(
    "airflow",
    rich_help_panel=_PARTS,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)(stack.airflow)
app.command("worker", rich_help_panel=_PARTS)(stack.worker)
app.command("keeper", rich_help_panel=_PARTS)(stack.keeper)
app.command("prune", rich_help_panel=_PARTS)(stack.prune)
app.command("stop-active", rich_help_panel=_PARTS)(stack.stop_active)
app.command("guard", hidden=True)(stack.guard)


def main() -> None:
    """Run the command; an expected error is one line on stderr and exit code 1."""
    os.umask(0o077)
    try:
        app()
    except FaceImportError as error:
        stderr.print(f"face-import: {error}", markup=False)
    except OSError as error:
        stderr.print(f"face-import: {error.filename or 'system'}: {error.strerror}", markup=False)
    else:
        return
    raise SystemExit(FAILURE)
