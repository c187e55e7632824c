"""Names of states, options and errors in English; locale/zh.po has the Chinese."""

import time
from typing import Any

from api_shim.access import OtherGroup
from api_shim.forms import CreateForm
from face_console.columns import cell
from face_console.language import duration, gettext, lazy, number
from face_console.messages import translated
from face_import.audit import By, Result
from face_import.catalogue import WaitingHost
from face_import.catalogue.hosts import MOST_SHOWN
from face_import.contract import GROUP_NAME_PATTERN, CallState, TaskState
from face_import.domain.charsets import CODECS, name_of
from face_import.domain.recurring import Schedule
from face_import.domain.uri_form import UriFlaw
from face_import.errors import KeyReused, RequestError
from face_import.settings import Settings

STATES = {
    TaskState.CREATED: lazy("Created"),
    TaskState.RUNNING: lazy("Running"),
    TaskState.STOPPED: lazy("Stopped"),
    TaskState.COMPLETED: lazy("Completed"),
}
CALLS = {
    CallState.NONE: lazy("Not called so far"),
    CallState.PENDING: lazy("Not delivered yet"),
    CallState.DELIVERED: lazy("Delivered"),
    CallState.GIVEN_UP: lazy("Given up"),
}
"""What became of an import's last callback."""
ACTORS = {
    By.KEY: lazy("API"),
    By.SESSION: lazy("console"),
    By.LOCAL: lazy("without a key"),
    By.NOBODY: lazy("no valid key"),
    By.COMMAND: lazy("command on the server"),
    By.AIRFLOW: lazy("Airflow"),
    By.KEEPER: lazy("keeper"),
}
ACTIONS = {
    "create": lazy("Create an import"),
    "start": lazy("Start"),
    "stop": lazy("Stop"),
    "retry": lazy("Retry"),
    "config": lazy("Change settings"),
    "limits": lazy("Change limits"),
    "undo": lazy("Undo"),
    "delete": lazy("Delete"),
    "purge": lazy("Remove data"),
    "login": lazy("Log in"),
    "logout": lazy("Log out"),
    "add_key": lazy("Add a key"),
    "revoke_key": lazy("Revoke a key"),
}
"""Actions of the audit log; others are shown as they are."""
RESULTS = {
    Result.DONE: lazy("Done"),
    Result.REFUSED: lazy("Refused"),
    Result.FAILED: lazy("Failed"),
}
PROBLEMS = {
    "columns": lazy("more values than columns"),
    "no_uri": lazy("no URI"),
} | {flaw.name: str(flaw) for flaw in UriFlaw}


HINTS = {
    "pos_pitch": lazy("How far the face may look up or down."),
    "pos_yaw": lazy("How far the face may be turned to the side."),
    "pos_rol": lazy("How far the head may be tilted."),
    "width": lazy("Narrower faces are not added."),
    "height": lazy("Shorter faces are not added."),
    "blur_degree": lazy("1 accepts only very sharp faces, 100 any face."),
    "faces": lazy("1 accepts only images with exactly one face. Of several, the largest counts."),
    "same_picture": lazy("Rows whose image another row of the file has imported already are refused."),
    "alike": lazy("A face this similar to one with another tag is refused. 0 (the default) compares nothing."),
    "alike_tag": lazy(
        "If the group has faces with the row's tag, one of them must be this similar. 0 (the default) compares nothing."
    ),
    "on_alike": lazy("The note is in the results. Default: refuse."),
    "max_failed": lazy("If more rows fail, the import stops. 0 (the default): any number may fail."),
    "max_failed_percent": lazy(
        "If a larger share of the rows fails, the import stops; judged from 1,000 rows on, or at the end of a smaller "
        "file. 0 (the default): any share may fail."
    ),
    "fail_on_errors": lazy("For alerts in Airflow. The import is completed all the same."),
    "measure": lazy("Also what no limit needs, so that other limits can be tried out later. Takes longer."),
    "dry_run": lazy("Everything is measured and checked, and no face is added to the group."),
    "sample": lazy("Only this many rows, spread evenly over the file. 0 (the default): all rows."),
}
"""What each limit and option does."""

_PROBLEMS_OF_FIELDS = {
    "missing": lazy("Required."),
    "int_parsing": lazy("Enter a whole number."),
    "int_parsing_size": lazy("Enter a whole number."),
    "int_from_float": lazy("Enter a whole number."),
    "int_type": lazy("Enter a whole number."),
    "float_parsing": lazy("Enter a number."),
    "greater_than_equal": lazy("Must be at least %(ge)s."),
    "less_than_equal": lazy("Must be at most %(le)s."),
    "literal_error": lazy("Choose one of the two options."),
    "enum": lazy("Choose one of the two options."),
    "string_too_long": lazy("At most %(max_length)s characters."),
    "row_numbers": lazy("Enter numbers, or ranges such as 12-40."),
}
_ERRORS = {
    "not_found": lazy("Not found"),
    "wrong_state": lazy("Not possible in the import's current state"),
    "too_large": lazy("The file is too large"),
    "forbidden": lazy("Not allowed"),
    "stale_page": lazy("This page is out of date"),
    "too_many_requests": lazy("Too many requests"),
    "busy": lazy("Too much at once"),
    "airflow_unavailable": lazy("Airflow is unavailable"),
    "catalogue_unavailable": lazy("The database is unavailable"),
    "storage_unavailable": lazy("File storage is unavailable"),
    "internal_error": lazy("Internal error"),
}
_HELP = {
    "not_found": lazy("The address is wrong, or the import was deleted."),
    "stale_page": lazy("Nothing was changed. Reload the page and try again."),
    "too_many_requests": lazy("Wait a minute, then try again."),
    "busy": lazy("Others are being served. Wait a moment, then try again."),
    "airflow_unavailable": lazy("Nothing was changed. Try again later."),
    "catalogue_unavailable": lazy("Try again later."),
    "storage_unavailable": lazy("It may be full. Try again later."),
    "internal_error": lazy("See the API log for details."),
}
ENCODINGS = {codec: name_of(codec) for codec in CODECS}
"""Codecs to choose from, and their names."""
_OTHER_ENCODINGS = {"utf-8-sig": "UTF-8 (BOM)"}
SEPARATORS = {",": lazy("comma"), ";": lazy("semicolon"), "\t": lazy("tab"), "|": lazy("vertical bar")}
MEASUREMENTS = {
    "faces": lazy("Faces in the image"),
    "score": lazy("Detection score"),
    "width": lazy("Face width"),
    "height": lazy("Face height"),
    "pitch": lazy("Pitch"),
    "yaw": lazy("Yaw"),
    "roll": lazy("Roll"),
    "blur": lazy("Blur"),
}
"""What is measured of a row's face, in the order of the ledger."""
COLUMNS = {
    "uri": lazy("image URI"),
    "tag": lazy("tag (name)"),
    "description": lazy("description"),
    "id": lazy("id"),
}
"""What a column of a file is used for."""


def error_title(word: str) -> str:
    """Title of an error, by its code."""
    return _ERRORS.get(word, lazy("Something went wrong"))


def error_help(word: str, text: str) -> str:
    """What to do about an error, in the request's language, or else the server's own text."""
    return gettext(_HELP[word]) if word in _HELP else translated(text)


def call(callback: dict[str, Any]) -> str:
    """What became of the last callback, with the last answer unless it is plain."""
    state, answer = CallState(callback["state"]), callback["answer"]
    text = gettext(CALLS[state])
    return f"{text} ({translated(answer)})" if answer and state is not CallState.DELIVERED else text


def encoding(codec: str) -> str:
    """Display name of a codec."""
    return (ENCODINGS | _OTHER_ENCODINGS).get(codec, codec)


def column(name: str | int) -> str:
    """A column by its title or, if it has none, its number from 1."""
    return gettext("column %(n)s", n=name) if isinstance(name, int) else cell(name)


def waiting(host: WaitingHost) -> str:
    """Which image host an import waits for, why, and when it is asked again."""
    left_s, known = host.retry_at - time.time(), {"host": host.host, "reason": translated(host.reason)}
    if left_s < 1:
        return gettext("Waiting for %(host)s (%(reason)s), trying now:", **known)
    return gettext("Waiting for %(host)s (%(reason)s), next try in %(wait)s:", **known, wait=duration(left_s))


def at_least(hosts: int, without: int = 0) -> str:
    """A number of hosts, of which there may be more than are listed."""
    return f"{number(hosts - without)}{'+' if hosts >= MOST_SHOWN else ''}"


def group_rule(settings: Settings) -> str:
    """The rule for group names."""
    if settings.group_name_pattern == GROUP_NAME_PATTERN:
        return gettext("3 to 32 characters: a-z, 0-9, _ and -, starting with a letter.")
    return gettext("Must match %(pattern)s.", pattern=settings.group_name_pattern)


def schedule(due: Schedule) -> str:
    """When a recurring import runs."""
    if due.asset:
        return gettext("after each event of %(asset)s", asset=due.asset)
    return f"{due.cron} ({due.timezone})" if due.cron else due.timetable


def default(name: str) -> Any:
    """The API's default of an option."""
    return CreateForm.model_fields[name].default


def field_problem(problem: Any) -> str:
    """A pydantic error in the request's language."""
    text = _PROBLEMS_OF_FIELDS.get(problem["type"])
    return gettext(text, **problem.get("ctx", {})) if text else str(problem["msg"])


def request_problem(error: RequestError, settings: Settings) -> str:
    """What is wrong with a field; shown next to it."""
    if isinstance(error, OtherGroup):
        return gettext("Your key has no access to this group.")
    if isinstance(error, KeyReused):
        return gettext("This form has already created an import with other content. Reload the page for a new one.")
    if error.field == "group_name":
        return group_rule(settings)
    if error.field in {"thread_num", "host_threads"}:
        return gettext("Must be at most %(le)s.", le=settings.max_threads)
    texts = {
        "callback_url": gettext("Enter an address that begins with http:// or https://, without spaces."),
        "file": gettext("Required."),
    }
    return texts.get(error.field or "") or translated(str(error))
