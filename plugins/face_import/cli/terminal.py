"""Where the commands write to, and what their exit status says."""

from datetime import datetime

from rich.console import Console
from rich.text import Text

SUCCESS, FAILURE, PARTIAL = 0, 1, 3
NOT_RUNNING = 3
"""Of `status`."""
INTERRUPTED = 130

output = Console(highlight=False, soft_wrap=True)
errors = Console(highlight=False, soft_wrap=True, stderr=True)


def plain(text: str) -> str:
    """Text of a file or server that cannot move the cursor, change colours, or break the line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cell(text: str, style: str = "") -> Text:
    """The same for a table, where square brackets would be markup."""
    return Text(plain(text), style)


def local(time: datetime | None) -> str:
    """A time on this machine's clock; empty if it has not come."""
    return time.astimezone().strftime("%Y-%m-%d %H:%M:%S") if time else ""
