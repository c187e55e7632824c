"""What states, options and errors are called, in English; locale/zh.po has the Chinese."""

from typing import Any

from api_shim.access import OtherGroup
from api_shim.models import CreateForm
from face_console.language import gettext, lazy
from face_import.contract import GROUP_NAME_PATTERN, TaskState
from face_import.errors import RequestError
from face_import.settings import Settings

STATES = {
    TaskState.CREATED: lazy("Created"),
    TaskState.RUNNING: lazy("Running"),
    TaskState.STOPPED: lazy("Stopped"),
    TaskState.COMPLETED: lazy("Completed"),
}
PROBLEMS = {
    "columns": lazy("more columns than names"),
    "no_uri": lazy("no URI"),
    "no_scheme": lazy("not a URI: use http, https or data"),
    "scheme": lazy("only http, https and data URIs can be fetched"),
}


HINTS = {
    "pos_pitch": lazy("How far a face may look up or down."),
    "pos_yaw": lazy("How far a face may be turned to the side."),
    "pos_rol": lazy("How far a head may be tilted."),
    "width": lazy("A narrower face is left out."),
    "height": lazy("A shorter face is left out."),
    "blur_degree": lazy("From 1, only very sharp faces, to 100, any face."),
}
"""What each limit does."""

_PROBLEMS_OF_FIELDS = {
    "missing": lazy("This is needed."),
    "int_parsing": lazy("Enter a whole number."),
    "int_from_float": lazy("Enter a whole number."),
    "int_type": lazy("Enter a whole number."),
    "greater_than_equal": lazy("At least %(ge)s."),
    "less_than_equal": lazy("At most %(le)s."),
    "literal_error": lazy("Choose one of the two."),
}
_ERRORS = {
    "not_found": lazy("This is not there (any more)"),
    "wrong_state": lazy("This cannot be done in the state the import is in"),
    "too_large": lazy("The file is too large"),
    "forbidden": lazy("This is not allowed"),
    "stale_page": lazy("This page is out of date"),
    "too_many_requests": lazy("Too many requests in a minute"),
    "airflow_unavailable": lazy("Airflow does not answer"),
    "catalogue_unavailable": lazy("The database does not answer"),
    "storage_unavailable": lazy("The storage of files does not answer"),
    "internal_error": lazy("Something went wrong on our side"),
}
_HELP = {
    "not_found": lazy("The address is wrong, or the import was deleted."),
    "stale_page": lazy("Nothing was done. Load the page again, then try once more."),
    "too_many_requests": lazy("Wait a minute, then try again."),
    "airflow_unavailable": lazy("Nothing was changed. Try again in a while."),
    "catalogue_unavailable": lazy("Try again in a while."),
    "storage_unavailable": lazy("It may be full. Try again in a while."),
    "internal_error": lazy("The log of the API has the details."),
}
_ENCODINGS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8 (BOM)",
    "utf-16-le": "UTF-16 LE",
    "utf-16-be": "UTF-16 BE",
    "gb18030": "GB18030",
}


def error_title(word: str) -> str:
    """What an error's word means."""
    return _ERRORS.get(word, lazy("This did not work"))


def error_help(word: str, text: str) -> str:
    """What to do about an error, in the request's language; the server's own text where only that knows."""
    return gettext(_HELP[word]) if word in _HELP else text


def encoding(codec: str) -> str:
    """A codec's name as people write it."""
    return _ENCODINGS.get(codec, codec)


def group_rule(settings: Settings) -> str:
    """What a group may be called."""
    if settings.group_name_pattern == GROUP_NAME_PATTERN:
        return gettext("3 to 32 of a-z, 0-9, _ and -, the first one a letter.")
    return gettext("It has to match %(pattern)s.", pattern=settings.group_name_pattern)


def default(name: str) -> Any:
    """The API's default of an option."""
    return CreateForm.model_fields[name].default


def field_problem(problem: Any) -> str:
    """One of pydantic's findings in the words of the request's language."""
    text = _PROBLEMS_OF_FIELDS.get(problem["type"])
    return gettext(text, **problem.get("ctx", {})) if text else str(problem["msg"])


def request_problem(error: RequestError, settings: Settings) -> str:
    """What is wrong with a field, beside which the text stands."""
    if isinstance(error, OtherGroup):
        return gettext("Your key is not for this group.")
    if error.field == "group_name":
        return group_rule(settings)
    if error.field == "thread_num":
        return gettext("At most %(le)s.", le=settings.max_threads)
    if error.field == "file":
        return gettext("This is needed.")
    return str(error)
