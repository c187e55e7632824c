"""What this installation allows a task to ask for: checked when a task is made, never again afterwards."""

import re

from face_import.errors import InvalidRequest
from face_import.settings import Settings

_MAX_NAME = 250
"""Characters the catalogue has room for. The operator's pattern may take the square of a longer name's time."""


def check_group_name(name: str, settings: Settings) -> None:
    """Refuse a name that the library service would refuse.

    Raises:
        InvalidRequest: it does not match `FACE_IMPORT_GROUP_NAME_PATTERN`.
    """
    if len(name) > _MAX_NAME or re.fullmatch(settings.group_name_pattern, name) is None:
        raise InvalidRequest(
            f"group_name: {name[:80]!r} is not a group name: 3-32 of a-z, 0-9, _ and -, the first one a letter "
            f"(pattern {settings.group_name_pattern})",
            field="group_name",
        )


def check_thread_num(thread_num: int, settings: Settings) -> None:
    """Refuse more rows in flight than this installation allows.

    Raises:
        InvalidRequest: above `FACE_IMPORT_MAX_THREADS`.
    """
    if thread_num > settings.max_threads:
        raise InvalidRequest(
            f"thread_num: {thread_num} is above the limit of {settings.max_threads}", field="thread_num"
        )
