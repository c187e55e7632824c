"""What commands write for programs: files, and the server's answers."""

import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from face_import.cli.answers import Answer
from face_import.errors import InvalidRequest


@contextmanager
def opened(target: str, option: str) -> Iterator[TextIO]:
    """Standard output, or a file that gets its name only when complete.

    Args:
        target: its path; `-` is standard output.
        option: the option that named it, for messages.

    Raises:
        InvalidRequest: its folder does not exist.
    """
    if target == "-":
        file = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8", newline="")
        yield file
        file.detach()
        return
    path = Path(target)
    if path.exists() and not path.is_file():  # a pipe or a device must not be replaced by a file
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
        return
    path = path.resolve()  # not before: /dev/stdout resolves to nothing if it is a pipe
    if not path.parent.is_dir():
        raise InvalidRequest(f"{option}: no such folder: {path.parent}")
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
        Path(part).replace(path)
    except BaseException:
        Path(part).unlink()
        raise


def print_json(answer: Answer) -> None:
    """Print an answer as it came, in a line of ASCII: whatever is in it, a terminal cannot be harmed by it."""
    print(json.dumps(answer.given))  # noqa: T201 - for programs
