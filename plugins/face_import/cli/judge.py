"""`face-import judge` and `limits`: how the rows of an import would end under other limits, and giving it these."""

from typing import Annotated

from rich.table import Table

from face_import.cli.answers import Judged, Task, meaning
from face_import.cli.client import Client
from face_import.cli.options import Json, TaskId, Watch, flag, limit_option
from face_import.cli.output import print_json
from face_import.cli.server import Key, Server, Url
from face_import.cli.terminal import stderr, stdout
from face_import.cli.watch import watch as follow
from face_import.contract import Code

_LIMITS = "Limits; those left out are the import's own"


def judge(  # noqa: PLR0913 - the limits
    *,
    task_id: TaskId,
    pos_pitch: Annotated[int | None, limit_option("pos_pitch", _LIMITS)] = None,
    pos_yaw: Annotated[int | None, limit_option("pos_yaw", _LIMITS)] = None,
    pos_rol: Annotated[int | None, limit_option("pos_rol", _LIMITS)] = None,
    width: Annotated[int | None, limit_option("width", _LIMITS)] = None,
    height: Annotated[int | None, limit_option("height", _LIMITS)] = None,
    blur_degree: Annotated[int | None, limit_option("blur_degree", _LIMITS)] = None,
    faces: Annotated[int | None, limit_option("faces", _LIMITS)] = None,
    as_json: Json = False,
    url: Url = "",
    key: Key = "",
) -> None:
    """Show how the rows handled so far would end under other limits, by what was measured of them.

    Nothing is changed, and no image is fetched.
    """
    asked = _given(
        pos_pitch=pos_pitch,
        pos_yaw=pos_yaw,
        pos_rol=pos_rol,
        width=width,
        height=height,
        blur_degree=blur_degree,
        faces=faces,
    )
    with Client(Server.of(url, key)) as client:
        task = client.task(task_id)
        judged = client.judge(task_id, asked)
    if as_json:
        print_json(judged)
        return
    limits = " ".join(f"{name} {limit}" for name, limit in judged.limits.items() if limit)
    stdout.print(
        f"{judged.handled_num} of {task.total_num} rows handled; judged by {limits or 'no limit'}", markup=False
    )
    stdout.print(_table(task, judged))


def limits(  # noqa: PLR0913 - the limits
    *,
    task_id: TaskId,
    pos_pitch: Annotated[int | None, limit_option("pos_pitch", _LIMITS)] = None,
    pos_yaw: Annotated[int | None, limit_option("pos_yaw", _LIMITS)] = None,
    pos_rol: Annotated[int | None, limit_option("pos_rol", _LIMITS)] = None,
    width: Annotated[int | None, limit_option("width", _LIMITS)] = None,
    height: Annotated[int | None, limit_option("height", _LIMITS)] = None,
    blur_degree: Annotated[int | None, limit_option("blur_degree", _LIMITS)] = None,
    faces: Annotated[int | None, limit_option("faces", _LIMITS)] = None,
    make_real: Annotated[bool, flag("--make-real", "Make a dry run real: add its faces.")] = False,
    preview: Annotated[bool, flag("--preview", "Only say what would happen.")] = False,
    watch: Watch = False,
    as_json: Json = False,
    url: Url = "",
    key: Key = "",
) -> None:
    """Give a stopped or completed import other limits: import rows that pass now, remove faces that do not.

    Exit status with --watch as of `import`.
    """
    asked: dict[str, object] = {
        **_given(
            pos_pitch=pos_pitch,
            pos_yaw=pos_yaw,
            pos_rol=pos_rol,
            width=width,
            height=height,
            blur_degree=blur_degree,
            faces=faces,
        ),
        **({"dry_run": False} if make_real else {}),
        "preview": preview,
    }
    with Client(Server.of(url, key)) as client:
        limited = client.limits(task_id, asked)
        if as_json:
            print_json(limited)
        else:
            stdout.print(
                f"{limited.reopened} to import, {limited.removed} to remove, {limited.rejudged} with another result"
            )
        if limited.unmeasured:
            stderr.print(f"{limited.unmeasured} not measured for these limits; they stay imported")
        if watch and not preview:
            raise SystemExit(follow(client, task_id, as_json=as_json))


def _given(**limits: int | None) -> dict[str, int]:
    return {name: limit for name, limit in limits.items() if limit is not None}


def _table(task: Task, judged: Judged) -> Table:
    """Rows by code, as they ended and as they would end."""
    now = {int(Code.OK): task.success_num, **task.errors}
    then = dict(judged.other_errors)
    for code, rows in {int(Code.OK): judged.success_num, **judged.errors}.items():
        then[code] = then.get(code, 0) + rows
    table = Table("code", "meaning")
    table.add_column("now", justify="right")
    table.add_column("then", justify="right")
    for code in sorted(now.keys() | then.keys()):
        table.add_row(str(code), meaning(code), str(now.get(code, 0)), str(then.get(code, 0)))
    if judged.unmeasured_num:
        table.add_row("", "not measured for these limits", "", str(judged.unmeasured_num))
    return table
