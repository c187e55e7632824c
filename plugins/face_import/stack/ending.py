"""Why a stack ended without being told to: a note in its home from `up` on, which only `down` removes.

The note has its full size from the start, so that it can also be filled in on a full disk.
"""

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from face_import.private import write_private
from face_import.stack.layout import Layout

_BYTES = 512


def expect_down(layout: Layout) -> None:
    """Begin the note of a stack that is being started."""
    write_private(_note(layout), " " * _BYTES)


def note(layout: Layout, cause: str) -> None:
    """Note why the stack ends; the first cause is kept."""
    text = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {cause}".encode()[:_BYTES]
    with suppress(OSError), _note(layout).open("r+b") as file:
        if not file.read().strip():
            file.seek(0)
            file.write(text.ljust(_BYTES))
            file.flush()
            os.fsync(file.fileno())


def forget(layout: Layout) -> None:
    """Remove the note: the stack was told to end."""
    _note(layout).unlink(missing_ok=True)


def unexpected_end(layout: Layout) -> str:
    """For a stack that is not running: when and why it ended by itself; empty if it was told to."""
    try:
        cause = _note(layout).read_text(errors="replace").strip()
    except OSError:
        return ""
    return cause or "its processes were killed, or the machine was restarted"


def _note(layout: Layout) -> Path:
    return layout.run / "ended"
