"""Commands about imports: import, tasks, show, start, retry, stop, delete."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table

from face_import.cli.answers import Summary
from face_import.cli.client import Client
from face_import.cli.options import Json, TaskId, Watch, flag, limit_option
from face_import.cli.output import print_json
from face_import.cli.photos.names import Pattern
from face_import.cli.reading import columns_field, sentence
from face_import.cli.sending import create_from, create_from_photos, is_url, show_reading, start_created
from face_import.cli.server import Key, Server, Url
from face_import.cli.terminal import cell, local, plain, stderr, stdout
from face_import.cli.watch import summarize
from face_import.cli.watch import watch as follow
from face_import.contract import DEFAULT_THREAD_NUM, MAX_CONCURRENCY, MAX_ROW, TaskState
from face_import.domain.models import FailurePolicy, Limits, Scope

_READING = "How the file is read"
_PHOTOS = "Photos in place of a file"

Group = Annotated[str, typer.Option(help="Face group.", show_default=False)]


def _file_or_url(source: str) -> str:
    problem = ""
    if source and not is_url(source):
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
            metavar="[FILE]",
            help="CSV or xlsx file, or the URL of one, which the server reads.",
            show_default=False,
        ),
    ] = "",
    group: Annotated[str, typer.Option(help="Face group; created if it does not exist.", show_default=False)],
    watch: Watch = False,
    as_json: Json = False,
    thread_num: Annotated[
        int, typer.Option(min=1, max=MAX_CONCURRENCY, help="Concurrency; servers allow up to 200 by default.")
    ] = DEFAULT_THREAD_NUM,
    host_threads: Annotated[
        int, typer.Option(min=0, max=MAX_CONCURRENCY, help="Fetches from one image host at a time; 0: no own limit.")
    ] = 0,
    mode: Annotated[int, typer.Option(min=0, max=1, help="On errors: 0 continues, 1 stops the import.")] = 0,
    max_failed: Annotated[
        int, typer.Option(min=0, max=MAX_ROW, help="Stop when more rows have failed; 0: any number may fail.")
    ] = 0,
    max_failed_percent: Annotated[
        int, typer.Option(min=0, max=100, help="Stop when a larger share has failed; 0: any share may fail.")
    ] = 0,
    fail_on_errors: Annotated[
        bool, flag("--fail-on-errors", "Airflow's run fails if the import is completed with failures.")
    ] = False,
    callback_url: Annotated[
        str, typer.Option(help="URL that is told whenever the import stops or completes.", show_default=False)
    ] = "",
    pos_pitch: Annotated[int, limit_option("pos_pitch")] = 0,
    pos_yaw: Annotated[int, limit_option("pos_yaw")] = 0,
    pos_rol: Annotated[int, limit_option("pos_rol")] = 0,
    width: Annotated[int, limit_option("width")] = 0,
    height: Annotated[int, limit_option("height")] = 0,
    blur_degree: Annotated[int, limit_option("blur_degree")] = 0,
    faces: Annotated[int, limit_option("faces")] = 0,
    measure: Annotated[bool, flag("--measure", "Measure faces in full, to judge other limits later.")] = False,
    same_picture: Annotated[bool, flag("--same-picture", "Import each image of the file once.")] = False,
    alike: Annotated[
        float, typer.Option(min=0, max=1, help="Score from which a face counts as that of another tag; 0: off.")
    ] = 0,
    alike_tag: Annotated[
        float, typer.Option(min=0, max=1, help="Score that a face must have with its own tag, if any; 0: off.")
    ] = 0,
    on_alike: Annotated[
        Literal["refuse", "note"], typer.Option(help="Such rows fail, or are imported with a note.")
    ] = "refuse",
    dry_run: Annotated[bool, flag("--dry-run", "Measure and judge faces, but add none.")] = False,
    sample: Annotated[int, typer.Option(min=0, max=MAX_ROW, help="Handle this many rows, spread evenly; 0: all.")] = 0,
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
    separator: Annotated[
        str,
        typer.Option(
            help='Separator, if not recognised: "," ";" "|" or tab.', show_default=False, rich_help_panel=_READING
        ),
    ] = "",
    sheet: Annotated[
        str,
        typer.Option(
            help="Sheet of an Excel workbook, if not the first.", show_default=False, rich_help_panel=_READING
        ),
    ] = "",
    photos: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            readable=True,
            metavar="PLACE",
            help="A folder or zip file of photos; repeating the command uploads nothing twice.",
            show_default=False,
            rich_help_panel=_PHOTOS,
        ),
    ] = None,
    names: Annotated[
        str,
        typer.Option(
            metavar="PATTERN",
            help="What their names say: {tag}, {id}, {description}, * for any text, as in {id}_{tag} or {tag}/*.",
            rich_help_panel=_PHOTOS,
        ),
    ] = "{tag}",
    url: Url = "",
    key: Key = "",
) -> None:
    """Upload a CSV or xlsx file or photos, or name a file's URL; start the import, and print the task id.

    Exit status: 0 started (with --watch: all rows imported), 3 with --watch: some rows failed,
    1 rejected, stopped or server unavailable, 130 Ctrl-C (the import keeps running).
    """
    if bool(source) == bool(photos):
        raise typer.BadParameter("name either a FILE or, with --photos, a folder or zip file of photos.")
    if photos and (column or separator or sheet):
        raise typer.BadParameter("--column, --separator and --sheet are for a FILE, not for --photos.")
    pattern = Pattern(names)
    limits = Limits(pos_pitch, pos_yaw, pos_rol, width, height, blur_degree, faces)
    policy = FailurePolicy(max_failed, max_failed_percent, int(fail_on_errors))
    threads = {"thread_num": thread_num, "host_threads": host_threads}
    scope = Scope(int(measure), int(dry_run), sample)
    numbers = {**threads, "mode": mode, **asdict(policy), **asdict(limits), **asdict(scope)}
    guard = {"same_picture": int(same_picture), "alike": alike, "alike_tag": alike_tag, "on_alike": on_alike}
    said = {"encoding": encoding, "separator": separator, "sheet": sheet}
    reading = said | {"columns": columns_field(column or ())}
    fields = {"group_name": group, **{name: str(n) for name, n in (numbers | guard).items()}}
    if callback_url:
        fields["callback_url"] = callback_url
    with Client(Server.of(url, key)) as client:
        if photos:
            created = create_from_photos(client, fields, photos, pattern, encoding)
        else:
            created = create_from(client, fields | {name: text for name, text in reading.items() if text}, source)
        if as_json:
            print_json(created)
        else:
            stdout.print(created.id, markup=False)
        show_reading(client, created.id)
        started = start_created(client, created.id)
        if watch:
            raise SystemExit(follow(client, created.id, as_json=as_json))
    if started:
        stderr.print(f"started; to follow it: face-import show {created.id} --watch", markup=False)


def tasks(  # noqa: PLR0913 - its options
    *,
    group: Group,
    state: Annotated[
        Literal["created", "running", "stopped", "completed"] | None,
        typer.Option(help="Only tasks in this state.", show_default=False),
    ] = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only the newest N.", show_default=False)] = None,
    as_json: Json = False,
    url: Url = "",
    key: Key = "",
) -> None:
    """List a group's imports, oldest first."""
    table = Table("id", "state", "handled", "failed", "created")
    with Client(Server.of(url, key)) as client, stderr.status("loading"):
        for task in client.tasks(group, TaskState[state.upper()] if state else None, last):
            if as_json:
                print_json(task)
            else:
                table.add_row(*_row(task))
    if as_json:
        return
    if table.row_count:
        stdout.print(table)
    else:
        stderr.print(f"no {f'{state} ' if state else ''}imports into {group}", markup=False)


def show(*, task_id: TaskId, watch: Watch = False, as_json: Json = False, url: Url = "", key: Key = "") -> None:
    """Show an import's state, counts and settings, or follow it until it ends.

    Exit status with --watch: 0 all rows imported, 3 some rows failed, 1 stopped or not started, 130 Ctrl-C.
    """
    with Client(Server.of(url, key)) as client:
        if watch:
            raise SystemExit(follow(client, task_id, as_json=as_json))
        task = client.task(task_id)
    if as_json:
        print_json(task)
        return
    facts = Table.grid(padding=(0, 2))
    for name, value in {
        "id": task.id,
        "group": task.group_name,
        "Airflow run": task.dag_run_id,
        "settings": " ".join(f"{name} {value}" for name, value in task.config.items()),
        "read as": sentence(task.source) if task.source else "",
        "undoes": task.undoes,
        "callback": task.callback and task.callback.sentence,
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
        notice = client.start(task_id)
    stderr.print(f"started, but {plain(notice)}" if notice else "started", markup=False)


def retry(  # noqa: PLR0913 - options
    *,
    task_id: TaskId,
    code: Annotated[list[int] | None, typer.Option(help="Only rows with this error code.", show_default=False)] = None,
    reason: Annotated[list[str] | None, typer.Option(help="Only rows with this reason.", show_default=False)] = None,
    rows: Annotated[str, typer.Option(help="Only these rows, such as 7,12-40.", show_default=False)] = "",
    preview: Annotated[bool, flag("--preview", "Only say how many rows these are.")] = False,
    watch: Watch = False,
    as_json: Json = False,
    url: Url = "",
    key: Key = "",
) -> None:
    """Fetch and import failed rows of a stopped or completed import again; without options, all of them.

    Exit status with --watch as of `import`.
    """
    wanted = {"codes": code or [], "reasons": reason or [], "rows": rows, "preview": preview}
    with Client(Server.of(url, key)) as client:
        retried = client.retry(task_id, wanted)
        what = f"{retried.rows} row{'s' * (retried.rows != 1)}"
        if as_json:
            print_json(retried)
        elif preview:
            stdout.print(what)
        elif not retried.rows:
            stdout.print("no failed row matches; nothing was started")
        if preview or not retried.rows:
            return
        stderr.print(f"started with {what}")
        if watch:
            raise SystemExit(follow(client, task_id, as_json=as_json))


def undo(*, task_id: TaskId, watch: Watch = False, as_json: Json = False, url: Url = "", key: Key = "") -> None:
    """Remove the faces that a stopped or completed import has added, by an import task of its own.

    Its id is the output. Exit status with --watch as of `import`.
    """
    with Client(Server.of(url, key)) as client:
        created = client.undo(task_id)
        if as_json:
            print_json(created)
        else:
            stdout.print(created.id, markup=False)
        if watch:
            raise SystemExit(follow(client, created.id, as_json=as_json))


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


def _row(task: Summary) -> tuple[str, ...]:
    percent = f"{100 * task.handled_num // task.total_num}%" if task.total_num else "0%"
    handled = f"{task.handled_num}/{task.total_num} {percent}"
    return task.id, task.word, handled, str(task.failed_num), local(task.created_at)
