"""Consoles and exit statuses of the commands."""

from datetime import datetime

from rich.console import Console
from rich.text import Text

SUCCESS, FAILURE, PARTIAL = 0, 1, 3
NOT_RUNNING = 3
"""Exit status of `face-import status`."""
INTERRUPTED = 130

stdout = Console(highlight=False, soft_wrap=True)
stderr = Console(highlight=False, soft_wrap=True, stderr=True)


def plain(text: str) -> str:
    """Escape untrusted text so that it cannot move the cursor, change colours, or break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cell(text: str, style: str = "") -> Text:
    """As `plain`, for a table cell, where square brackets would be markup."""
    return Text(plain(text), style)


def local(time: datetime | None) -> str:
    """A time in the local time zone; empty if None."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""
