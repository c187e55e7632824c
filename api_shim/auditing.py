"""Audits requests: changes, logins, and what was refused for lack of a key or of access (`face_import.audit`).

Whatever can be sent by POST is taken for a change, so that a new endpoint is audited unless it is named here.
"""

from contextlib import suppress

from flask import Flask, Response, g, request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from sqlalchemy.exc import SQLAlchemyError

from api_shim import access
from api_shim.app_context import app_context
from face_import.audit import AuditLog, By, Entry, Result
from face_import.domain.identity import is_task_id
from face_import.settings import Settings

READS = {"tasks.list_tasks", "tasks.judge", "console.new_preview", "console.choose_language", "console.search_group"}
"""Endpoints that take a POST and change nothing."""
STRANGERS = RateLimitItemPerMinute(10)
"""Entries of requests without a valid key: they cannot push the others out of the log."""
_WORDS = {
    "apply_limits": "limits",
    "concurrency": "config",
    "list_tasks": "list",
    "log_out": "logout",
    "retry_rows": "retry",
    "try_log_in": "login",
}


def register(app: Flask, settings: Settings) -> None:
    """Audit every response."""
    audit_log, limiter = AuditLog.of(settings), MovingWindowRateLimiter(MemoryStorage())

    @app.after_request
    def audit(response: Response) -> Response:
        status = response.status_code
        told = _is_denied(status) or (_is_change() and not g.get("only_read", False))
        if told and (_is_known(status) or limiter.hit(STRANGERS, "all")):
            audit_log.write(_entry(status))
        return response


def about(*, task: str = "", group: str = "") -> None:
    """Say which import or group the current request is about, if its path does not."""
    known: dict[str, str] = g.setdefault("audited", {})
    known.update({name: value for name, value in (("task", task), ("group", group)) if value})


def details(**values: int | str) -> None:
    """Say what the current request changes; never a secret."""
    g.setdefault("audited_details", {}).update(values)


def only_read() -> None:
    """Say that the current request changes nothing."""
    g.only_read = True


def _is_change() -> bool:
    rule = request.url_rule
    posts = rule is not None and "POST" in (rule.methods or ())
    return posts and request.method != "OPTIONS" and request.endpoint not in READS


def _is_denied(status: int) -> bool:
    return status in {401, 403}


def _is_known(status: int) -> bool:
    """Whether the client may make requests at all: it has a key, or none is needed and no guard has refused it."""
    return "key" in g or (access.keys_in_use() is None and not _is_denied(status))


def _entry(status: int) -> Entry:
    told: dict[str, str] = g.get("audited", {})
    task = told.get("task", "") or (request.view_args or {}).get("task_id", "")
    task = task if is_task_id(task) else ""
    return Entry(
        by=_by(status),
        who=g.get("key_name", ""),
        address=request.remote_addr or "",
        action=_action(),
        task=task,
        group=told.get("group", "") or _group(task),
        result=_result(status),
        status=status,
        details=g.get("audited_details", {}),
    )


def _by(status: int) -> By:
    if not _is_known(status):
        return By.NOBODY
    if "key" not in g:
        return By.LOCAL
    return By.KEY if g.get("by_header", False) else By.SESSION


def _action() -> str:
    """The endpoint's name without its blueprint; the console's are those of the API."""
    name = (request.endpoint or "request").rpartition(".")[2].removeprefix("task_")
    return _WORDS.get(name, name)


def _result(status: int) -> Result:
    if status >= 500:
        return Result.FAILED
    # Without a session, a page redirects to the login.
    return Result.DONE if status < 400 and _is_known(status) else Result.REFUSED


def _group(task_id: str) -> str:
    """The group of an import, also of one that was just deleted."""
    with suppress(SQLAlchemyError):
        task = app_context().catalogue.tasks.peek(task_id) if task_id else None
        return task.config.group_name if task else ""
    return ""
