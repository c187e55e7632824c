"""Marks by which a host can say that an image has not changed."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_STRONG = re.compile(r'"[\x21\x23-\x7e]{0,200}"')
"""A strong entity tag without characters that are not plain ASCII; a weak one may stay while bytes change."""
_SECOND = 1.0


def validator_of(headers: Mapping[str, str]) -> str:
    """The answer's strong entity tag, else its date of modification, else nothing.

    A date counts only if it is at least a second before the answer's: within a second the image may change again.
    """
    tag = headers.get("ETag", "")
    if _STRONG.fullmatch(tag):
        return tag
    try:
        modified, answered = (parsedate_to_datetime(headers.get(name, "")) for name in ("Last-Modified", "Date"))
        if answered.timestamp() - modified.timestamp() >= _SECOND:
            return format_datetime(datetime.fromtimestamp(modified.timestamp(), UTC), usegmt=True)
    except (ValueError, OverflowError, OSError):
        pass
    return ""


def condition(validator: str) -> dict[str, str]:
    """The header that requests the image only if it has changed."""
    return {"If-None-Match" if validator.startswith('"') else "If-Modified-Since": validator}
