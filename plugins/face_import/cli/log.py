"""`face-import log`: failed rows as a table, as tab-separated lines, or as a CSV file."""

import csv
import sys
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.table import Table

from face_import.cli.answers import LogEntry
from face_import.cli.client import Client
from face_import.cli.options import Json, TaskId
from face_import.cli.output import opened, print_json
from face_import.cli.server import Key, Server, Url
from face_import.cli.terminal import cell, plain, stderr, stdout


def log(  # noqa: PLR0913 - its options
    *,
    task_id: TaskId,
    code: Annotated[int | None, typer.Option(help="Only rows with this error code.", show_default=False)] = None,
    to_csv: Annotated[
        str,
        typer.Option("--csv", metavar="FILE", help="Write uri, code, message as CSV; - is stdout.", show_default=False),
    ] = "",
    as_json: Json = False,
    url: Url = "",
    key: Key = "",
) -> None:
    """Show the failed rows, also while the import is running.

    In a pipe, prints row, code, uri and message as tab-separated lines.
    """
    if to_csv and as_json:
        raise typer.BadParameter("--csv and --json exclude each other.")
    with Client(Server.of(url, key)) as client:
        if to_csv:
            _write_csv(client, task_id, code, to_csv)
            return
        for number, page in enumerate(client.log(task_id, code)):
            if as_json:
                for entry in page:
                    print_json(entry)
            elif stdout.is_terminal:
                _print_table(page, first=number == 0)
            else:
                _print_lines(page)


def _print_table(page: Iterable[LogEntry], *, first: bool) -> None:
    """Print one page; column widths are fixed so that the pages of a long log line up."""
    table = Table(box=None, expand=True, show_header=first, pad_edge=False)
    table.add_column("row", width=9, justify="right")
    table.add_column("code", width=4)
    table.add_column("uri", ratio=1, overflow="fold")
    table.add_column("message", ratio=1, overflow="fold")
    for entry in page:
        table.add_row(str(entry.row), str(entry.code), cell(entry.uri), cell(entry.message))
    stdout.print(table, soft_wrap=False)


def _print_lines(page: Iterable[LogEntry]) -> None:
    for entry in page:
        print(entry.row, entry.code, plain(entry.uri), plain(entry.message), sep="\t")  # noqa: T201 - for programs


def _write_csv(client: Client, task_id: str, code: int | None, target: str) -> None:
    """Write the server's CSV, or its lines with the code: the format is the same either way."""
    csv.field_size_limit(sys.maxsize)  # a URI may be as long as the server accepts
    written = 0
    with client.download(task_id) as lines, opened(target, "--csv") as file:
        writer = csv.writer(file)
        for row in csv.reader(lines):
            if code is None or row[1:2] == [str(code)]:
                writer.writerow(row)
                written += 1
    if target != "-":
        stderr.print(f"{written} rows written to {target}", markup=False)
