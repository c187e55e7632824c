"""Commands about imports: import, tasks, show, start, stop, delete."""

import os
import stat
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from face_import.cli.client import Client, Task
from face_import.cli.reading import as_options, columns_field, sentence
from face_import.cli.server import Key, Server, Url
from face_import.cli.terminal import INTERRUPTED, cell, local, stderr, stdout
from face_import.cli.watch import summarize
from face_import.cli.watch import watch as follow
from face_import.contract import DEFAULT_THREAD_NUM, MAX_CONCURRENCY, TaskState
from face_import.domain.models import LIMITS, Limits
from face_import.errors import ApiUnavailable, InvalidRequest, RequestError, TaskNotFound

_LIMITS = "Limits: rows with a face outside a limit fail"
_READING = "How the file is read"

TaskId = Annotated[str, typer.Argument(metavar="ID", help="Task id.", show_default=False)]
Group = Annotated[str, typer.Option(help="Face group.", show_default=False)]
Watch = Annotated[bool, typer.Option("--watch", help="Show progress until the import ends.")]


def _limit(name: str) -> object:
    limit = LIMITS[name]
    text = f"{limit.title}, {limit.unit}; 0 means no limit."
    return typer.Option(min=0, max=limit.most, help=text, rich_help_panel=_LIMITS)


def _is_url(source: str) -> bool:
    """Whether a source is a URL; no path of a file looks like one."""
    return "://" in source


def _file_or_url(source: str) -> str:
    problem = ""
    if not _is_url(source):
        path = Path(source)
        if not path.exists():
            problem = "does not exist"
        elif path.is_dir():
            problem = "is a directory"
        elif not os.access(path, os.R_OK):
            problem = "is not readable"
    if problem:
        raise typer.BadParameter(f"File {source!r} {problem}.")
    return source


def create(  # noqa: PLR0913 - the fields of the form
    *,
    source: Annotated[
        str,
        typer.Argument(
            callback=_file_or_url,
            metavar="FILE",
            help="CSV or xlsx file, or the URL of one, which the server reads.",
            show_default=False,
        ),
    ],
    group: Annotated[str, typer.Option(help="Face group; created if it does not exist.", show_default=False)],
    watch: Watch = False,
    thread_num: Annotated[
        int, typer.Option(min=1, max=MAX_CONCURRENCY, help="Concurrency; servers allow up to 200 by default.")
    ] = DEFAULT_THREAD_NUM,
    mode: Annotated[int, typer.Option(min=0, max=1, help="On errors: 0 continues, 1 stops the import.")] = 0,
    pos_pitch: Annotated[int, _limit("pos_pitch")] = 0,
    pos_yaw: Annotated[int, _limit("pos_yaw")] = 0,
    pos_rol: Annotated[int, _limit("pos_rol")] = 0,
    width: Annotated[int, _limit("width")] = 0,
    height: Annotated[int, _limit("height")] = 0,
    blur_degree: Annotated[int, _limit("blur_degree")] = 0,
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=COLUMN",
            help="Which column is which, for uri, tag, description and id: NAME=TITLE, NAME=NUMBER, or NAME= for none.",
            show_default=False,
            rich_help_panel=_READING,
        ),
    ] = None,
    encoding: Annotated[
        str,
        typer.Option(
            help="Encoding, if not recognised: gbk, for instance.", show_default=False, rich_help_panel=_READING
        ),
    ] = "",
    sheet: Annotated[
        str,
        typer.Option(
            help="Sheet of an Excel workbook, if not the first.", show_default=False, rich_help_panel=_READING
        ),
    ] = "",
    url: Url = "",
    key: Key = "",
) -> None:
    """Upload a CSV or xlsx file or name its URL, start its import, and print the task id.

    Exit status: 0 started (with --watch: all rows imported), 3 with --watch: some rows failed,
    1 rejected, stopped or server unavailable, 130 Ctrl-C (the import keeps running).
    """
    limits = Limits(
        pos_pitch=pos_pitch, pos_yaw=pos_yaw, pos_rol=pos_rol, width=width, height=height, blur_degree=blur_degree
    )
    numbers = {"thread_num": thread_num, "mode": mode, **asdict(limits)}
    reading = {"encoding": encoding, "sheet": sheet, "columns": columns_field(column or ())}
    with Client(Server.of(url, key)) as client:
        fields = {"group_name": group, **{name: str(n) for name, n in numbers.items()}}
        task_id = _create(client, fields | {name: text for name, text in reading.items() if text}, source)
        stdout.print(task_id, markup=False)
        _show_reading(client, task_id)
        _start(client, task_id)
        if watch:
            raise SystemExit(follow(client, task_id))
    stderr.print(f"started; to follow it: face-import show {task_id} --watch", markup=False)


def tasks(
    *,
    group: Group,
    state: Annotated[
        Literal["created", "running", "stopped", "completed"] | None,
        typer.Option(help="Only tasks in this state.", show_default=False),
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only the newest N.", show_default=False)] = None,
    url: Url = "",
    key: Key = "",
) -> None:
    """List a group's imports, oldest first."""
    table = Table("id", "state", "handled", "failed", "created")
    with Client(Server.of(url, key)) as client, stderr.status("loading"):
        ids = client.ids(group, TaskState[state.upper()] if state else None)
        for task_id in ids[-last:] if last else ids:
            try:
                task = client.task(task_id)
            except TaskNotFound:
                continue  # deleted since it was listed
            table.add_row(*_row(task))
    if table.row_count:
        stdout.print(table)
    else:
        stderr.print(f"no {f'{state} ' if state else ''}imports into {group}", markup=False)


def show(*, task_id: TaskId, watch: Watch = False, url: Url = "", key: Key = "") -> None:
    """Show an import's state, counts and settings, or follow it until it ends.

    Exit status with --watch: 0 all rows imported, 3 some rows failed, 1 stopped or not started, 130 Ctrl-C.
    """
    with Client(Server.of(url, key)) as client:
        if watch:
            raise SystemExit(follow(client, task_id))
        task = client.task(task_id)
    facts = Table.grid(padding=(0, 2))
    for name, value in {
        "id": task.id,
        "group": task.group_name,
        "Airflow run": task.dag_run_id,
        "settings": " ".join(f"{name} {value}" for name, value in task.config.items()),
        "read as": sentence(task.source) if task.source else "",
        "created": local(task.created_at),
        "started": local(task.started_at),
        "finished": local(task.finished_at),
        "handled": f"{task.handled_num} of {task.total_num} rows",
    }.items():
        if value:
            facts.add_row(name, cell(value))
    stdout.print(facts)
    summarize(task)


def start(*, task_id: TaskId, url: Url = "", key: Key = "") -> None:
    """Start an import, or resume a stopped one."""
    with Client(Server.of(url, key)) as client:
        client.start(task_id)
    stderr.print("started")


def stop(*, task_id: TaskId, url: Url = "", key: Key = "") -> None:
    """Stop a running import; `start` resumes it."""
    with Client(Server.of(url, key)) as client, stderr.status("stopping"):
        client.stop(task_id)
    stderr.print("stopped")


def delete(*, task_id: TaskId, url: Url = "", key: Key = "") -> None:
    """Delete an import and its log permanently, in any state; faces already added stay in the group."""
    with Client(Server.of(url, key)) as client:
        client.delete(task_id)
    stderr.print("deleted")


def _create(client: Client, fields: dict[str, str], source: str) -> str:
    try:
        if _is_url(source):
            return client.create(fields | {"source": source}, None, lambda _sent: None)
        return _upload(client, fields, Path(source))
    except InvalidRequest as error:
        options = as_options(str(error))
        raise InvalidRequest(f"{error}; here: {options}" if options else str(error)) from None


def _show_reading(client: Client, task_id: str) -> None:
    """Say how the file is read, if the server knows; the import does not depend on it."""
    with suppress(ApiUnavailable, RequestError):
        if source := client.task(task_id).source:
            stderr.print(f"read as {sentence(source)}", markup=False)


def _upload(client: Client, fields: dict[str, str], file: Path) -> str:
    """Upload the file with a progress bar; returns the task id."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InvalidRequest(f"{file} is not a regular file: its size must be known before the upload")
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    text, silent = TextColumn("{task.description}"), not stderr.is_terminal
    with Progress(text, *columns, console=stderr, transient=True, disable=silent) as progress:
        bar = progress.add_task("uploading", total=status.st_size)

        def sent(count: int) -> None:
            done = count == status.st_size
            progress.update(bar, completed=count, description="server is reading the file" if done else "uploading")

        try:
            return client.create(fields, file, sent)
        except KeyboardInterrupt:
            progress.stop()
            group = fields["group_name"]
            stderr.print(f"interrupted; nothing was started (check: face-import tasks --group {group} --state created)")
            raise SystemExit(INTERRUPTED) from None


def _start(client: Client, task_id: str) -> None:
    try:
        client.start(task_id)
    except (ApiUnavailable, RequestError) as error:
        raise type(error)(f"{error}; the task was created, start it with: face-import start {task_id}") from None


def _row(task: Task) -> tuple[str, ...]:
    percent = f"{100 * task.handled_num // task.total_num}%" if task.total_num else "0%"
    handled = f"{task.handled_num}/{task.total_num} {percent}"
    return task.id, task.word, handled, str(task.failed_num), local(task.created_at)
