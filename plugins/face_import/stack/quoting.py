"""Values as other programs have to be told them: each of these formats takes some characters for its own."""

import re
import shlex
from collections.abc import Sequence

_COMMENT = re.compile(r"(?<=\s)(?=[;#])")


def supervisor_command(words: Sequence[str]) -> str:
    """A command as supervisord's file takes it: words in quotes, `%%` for `%`, and no `;` or `#` after a blank.

    These begin a comment, and only inside of quotes do they stand there: an empty pair of quotes keeps them apart.
    """
    return _COMMENT.sub("''", shlex.join(words)).replace("%", "%%")


def airflow_url(url: str) -> str:
    """A URL as a setting of Airflow, which replaces `$NAME` in settings, such as in a password."""
    return url.replace("$", "%24")
