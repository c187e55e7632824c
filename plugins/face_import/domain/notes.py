"""The note of a run in Airflow while its import is under way."""

import re
from collections.abc import Sequence

LONGEST = 1000
"""Characters that Airflow keeps of a note."""
_LONGEST_REASON = 300
_WAITING = re.compile(r"; waiting for \S+ \(.*\)(?: and \d+ more hosts?)?$", re.DOTALL)


def opening(group: str, source: str) -> str:
    """The note of an import that begins; `source` is without secrets."""
    return f"{group}: {source}"[:LONGEST]


def with_waiting(note: str, hosts: Sequence[tuple[str, str]]) -> str:
    """A note that ends with the image hosts that the import waits for, instead of those that it named before.

    Args:
        note: the note so far.
        hosts: unavailable hosts, each with the reason, the most important one first; empty removes the ending.
    """
    kept = _WAITING.sub("", note)
    if not hosts:
        return kept
    (host, reason), others = hosts[0], len(hosts) - 1
    more = f" and {others} more host{'s' if others > 1 else ''}" if others else ""
    ending = f"; waiting for {host} ({reason[:_LONGEST_REASON]}){more}"
    return kept[: LONGEST - len(ending)] + ending
