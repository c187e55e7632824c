"""`face-import results`: the rows of a file with what became of them, as a CSV file that can be imported again."""

import csv
import sys
from collections.abc import Iterable, Iterator
from typing import Annotated, TextIO

import typer

from face_import.cli.client import Client
from face_import.cli.options import TaskId
from face_import.cli.output import opened
from face_import.cli.server import Key, Server, Url
from face_import.cli.terminal import stderr
from face_import.contract import Reason, Rows


def results(  # noqa: PLR0913 - its options
    *,
    task_id: TaskId,
    rows: Annotated[Rows, typer.Option(help="Which rows; unhandled ones have no outcome yet.")] = Rows.FAILED,
    code: Annotated[int | None, typer.Option(help="Only rows with this error code.", show_default=False)] = None,
    reason: Annotated[Reason | None, typer.Option(help="Only rows with this reason.", show_default=False)] = None,
    row: Annotated[str, typer.Option(help="Only these rows, such as 7,12-40.", show_default=False)] = "",
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The file to write; - is stdout.")
    ] = "-",
    url: Url = "",
    key: Key = "",
) -> None:
    """Write rows as they are in the file, with what became of each: a CSV file that `import` takes as it is.

    To import failed rows again: mend the file or the images, and import the file of results.
    """
    csv.field_size_limit(sys.maxsize)  # a cell may be as long as the server accepts
    only = {"rows": rows.value, "code": code, "reason": reason and reason.value, "row": row}
    with Client(Server.of(url, key)) as client, client.results(task_id, only) as lines, opened(output, "-o") as file:
        written = sum(1 for _ in csv.reader(_copied(lines, file))) - 1
    if output != "-":
        stderr.print(f"{written} rows written to {output}", markup=False)


def _copied(lines: Iterable[str], file: TextIO) -> Iterator[str]:
    for line in lines:
        file.write(line)
        yield line
