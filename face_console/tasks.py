"""The list of imports and its live updates."""

from flask import Response, jsonify, render_template, request, url_for

from api_shim import access
from api_shim.app_context import app_context
from face_console.snapshot import overview, snapshot_of
from face_console.view import blueprint, by_htmx, link, moved
from face_import import __version__
from face_import.contract import DAG_ID, TaskState
from face_import.domain.identity import import_of_run, is_task_id, task_id_of_run

PAGE = 20
MOST_PAGES = 10**6


@blueprint.get("/")
def index() -> str | Response:
    """Imports, newest first; clients that ask for JSON get the address of the API."""
    if request.accept_mimetypes.best_match(["text/html", "application/json"]) == "application/json":
        api, openapi = f"{request.script_root}/v1/tasks", url_for("openapi")
        docs = url_for("console.reference")
        return jsonify(name="Face import", version=__version__, api=api, openapi=openapi, docs=docs)
    group = request.args.get("group", "").strip().replace("\0", "")
    exact = request.args.get("exact") == "1"
    state = _state(request.args.get("state", ""))
    number = min(max(request.args.get("page", 1, int), 1), MOST_PAGES)
    skip = (number - 1) * PAGE
    part, whole = ("", group) if exact else (group, "")
    found = overview().page(group=whole, containing=part, state=state, newest_first=True, skip=skip, limit=PAGE)
    return render_template(
        "tasks.html",
        snapshots=[snapshot_of(*counted) for counted in found.tasks],
        total=found.total,
        number=number,
        pages=-(-found.total // PAGE),
        group=group,
        exact=exact,
        state=state,
        groups=overview().groups(),
        deleted=request.args.get("deleted"),
    )


@blueprint.get("/live")
def live() -> str:
    """Live updates for the imports on a page of the list."""
    ids = [task_id for task_id in request.args.getlist("id")[:PAGE] if is_task_id(task_id)]
    snapshots = [snapshot_of(*counted) for counted in overview().tasks(ids)]
    return render_template("tasks_live.html", snapshots=snapshots)


@blueprint.get("/runs/<path:run_id>")
def run(run_id: str) -> str | Response | tuple[str, int]:
    """Redirect to the import of an Airflow run, or of a recurring import's run; Airflow's pages link here."""
    dag_id = request.args.get("dag", DAG_ID)
    task_id = task_id_of_run(run_id) if dag_id == DAG_ID else import_of_run(dag_id, run_id)
    task = app_context().catalogue.tasks.peek(task_id)
    if task is not None and task.deleted_at is None and access.may_see(task.config.group_name):
        shard = request.args.get("shard", type=int)
        return moved(link("show", task_id=task.id, shard=shard) + ("" if shard is None else "#log"))
    if by_htmx():
        return "", 204
    return render_template("run.html", run_id=run_id), 404


def _state(text: str) -> TaskState | None:
    try:
        return TaskState(int(text))
    except ValueError:
        return None
