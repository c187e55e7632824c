"""Commands about imports: import, tasks, show, start, stop, delete."""

import stat
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from face_import.cli.client import Client, Task
from face_import.cli.server import Key, Server, Url
from face_import.cli.terminal import INTERRUPTED, cell, errors, local, output
from face_import.cli.watch import summarize
from face_import.cli.watch import watch as follow
from face_import.contract import DEFAULT_THREAD_NUM, MOST_THREADS, TaskState
from face_import.domain.models import LIMITS, Limits
from face_import.errors import ApiUnavailable, InvalidRequest, RequestError, TaskNotFound

_LIMITS = "Limits: a face beyond one fails its row"

TaskId = Annotated[str, typer.Argument(metavar="ID", help="The task's id.", show_default=False)]
Group = Annotated[str, typer.Option(help="Face group.", show_default=False)]
Watch = Annotated[bool, typer.Option("--watch", help="Show the progress until the import ends.")]


def _limit(name: str) -> object:
    limit = LIMITS[name]
    return typer.Option(min=0, max=limit.most, help=f"{limit.title}, {limit.unit}; 0 is off.", rich_help_panel=_LIMITS)


def create(  # noqa: PLR0913 - the fields of the form
    *,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, readable=True, metavar="FILE", help="CSV file.", show_default=False
        ),
    ],
    group: Annotated[str, typer.Option(help="Face group; made if it does not exist.", show_default=False)],
    watch: Watch = False,
    thread_num: Annotated[
        int, typer.Option(min=1, max=MOST_THREADS, help="Rows in flight at once; servers allow 200 unless set.")
    ] = DEFAULT_THREAD_NUM,
    mode: Annotated[int, typer.Option(min=0, max=1, help="At a bad row: 0 goes on, 1 stops the import.")] = 0,
    pos_pitch: Annotated[int, _limit("pos_pitch")] = 0,
    pos_yaw: Annotated[int, _limit("pos_yaw")] = 0,
    pos_rol: Annotated[int, _limit("pos_rol")] = 0,
    width: Annotated[int, _limit("width")] = 0,
    height: Annotated[int, _limit("height")] = 0,
    blur_degree: Annotated[int, _limit("blur_degree")] = 0,
    url: Url = "",
    key: Key = "",
) -> None:
    """Upload a CSV file, start its import, and print the task's id.

    Exit status: 0 started (with --watch: every row imported), 3 with --watch: some rows failed,
    1 refused, stopped or no answer, 130 Ctrl-C while it goes on.
    """
    limits = Limits(pos_pitch, pos_yaw, pos_rol, width, height, blur_degree)
    numbers = {"thread_num": thread_num, "mode": mode, **asdict(limits)}
    with Client(Server.of(url, key)) as client:
        task_id = _upload(client, {"group_name": group, **{name: str(n) for name, n in numbers.items()}}, file)
        output.print(task_id, markup=False)
        _start(client, task_id)
        if watch:
            raise SystemExit(follow(client, task_id))
    errors.print(f"started; see how it goes: face-import show {task_id} --watch", markup=False)


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
    with Client(Server.of(url, key)) as client, errors.status("asking"):
        ids = client.ids(group, TaskState[state.upper()] if state else None)
        for task_id in ids[-last:] if last else ids:
            try:
                task = client.task(task_id)
            except TaskNotFound:
                continue  # deleted since it was listed
            table.add_row(*_row(task))
    if table.row_count:
        output.print(table)
    else:
        errors.print(f"no imports{f' that are {state}' if state else ''} into {group}", markup=False)


def show(*, task_id: TaskId, watch: Watch = False, url: Url = "", key: Key = "") -> None:
    """Show an import: its state, its counts and its settings; or follow it to its end.

    Exit status with --watch: 0 every row imported, 3 some rows failed, 1 stopped or not started, 130 Ctrl-C.
    """
    with Client(Server.of(url, key)) as client:
        if watch:
            raise SystemExit(follow(client, task_id))
        task = client.task(task_id)
    facts = Table.grid(padding=(0, 2))
    for name, value in {
        "id": task.id,
        "group": task.group_name,
        "run in Airflow": task.dag_run_id,
        "settings": " ".join(f"{name} {value}" for name, value in task.config.items()),
        "created": local(task.created_at),
        "started": local(task.started_at),
        "finished": local(task.finished_at),
        "handled": f"{task.handled_num} of {task.total_num} rows",
    }.items():
        if value:
            facts.add_row(name, cell(value))
    output.print(facts)
    summarize(task)


def start(*, task_id: TaskId, url: Url = "", key: Key = "") -> None:
    """Start an import, or let a stopped one go on where it stopped."""
    with Client(Server.of(url, key)) as client:
        client.start(task_id)
    errors.print("started")


def stop(*, task_id: TaskId, url: Url = "", key: Key = "") -> None:
    """Stop a running import; start lets it go on."""
    with Client(Server.of(url, key)) as client, errors.status("stopping"):
        client.stop(task_id)
    errors.print("stopped")


def delete(*, task_id: TaskId, url: Url = "", key: Key = "") -> None:
    """Delete an import and its log, in any state and for good; faces that were added stay."""
    with Client(Server.of(url, key)) as client:
        client.delete(task_id)
    errors.print("deleted")


def _upload(client: Client, fields: dict[str, str], file: Path) -> str:
    """Send the file with a bar; returns the task's id."""
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise InvalidRequest(f"{file} is not a regular file: its size has to be known before it is sent")
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    text, silent = TextColumn("{task.description}"), not errors.is_terminal
    with Progress(text, *columns, console=errors, transient=True, disable=silent) as progress:
        bar = progress.add_task("uploading", total=status.st_size)

        def sent(count: int) -> None:
            done = count == status.st_size
            progress.update(bar, completed=count, description="the server reads it" if done else "uploading")

        try:
            return client.create(fields, file, sent)
        except KeyboardInterrupt:
            progress.stop()
            group = fields["group_name"]
            errors.print(f"interrupted; nothing was started (look: face-import tasks --group {group} --state created)")
            raise SystemExit(INTERRUPTED) from None


def _start(client: Client, task_id: str) -> None:
    try:
        client.start(task_id)
    except (ApiUnavailable, RequestError) as error:
        raise type(error)(f"{error}; the task is created: face-import start {task_id}") from None


def _row(task: Task) -> tuple[str, ...]:
    percent = f"{100 * task.handled_num // task.total_num}%" if task.total_num else "0%"
    handled = f"{task.handled_num}/{task.total_num} {percent}"
    return task.id, task.word, handled, str(task.failed_num), local(task.created_at)
