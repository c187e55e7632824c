"""The audit log: who did what to which import, one JSON line each, in the home.

Several processes append to the same file, one after the other: each locks it for as long as a line takes.
"""

import fcntl
import getpass
import logging
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from face_import.settings import Settings

log = logging.getLogger(__name__)
MAX_BYTES = 10 * 2**20
OLDER_FILES = 9
_MOST_TEXT = 300
_TAIL_BYTES = 2**18


class By(StrEnum):
    """How somebody acted.

    Attributes:
        KEY: through the API, with a key.
        SESSION: through the console, logged in with a key.
        LOCAL: through either, on an installation without keys.
        NOBODY: likewise, but without a valid key.
        COMMAND: with a command on the server.
        AIRFLOW: in Airflow.
        KEEPER: the keeper, without anybody's doing.
    """

    KEY = "key"
    SESSION = "session"
    LOCAL = "local"
    NOBODY = "nobody"
    COMMAND = "command"
    AIRFLOW = "airflow"
    KEEPER = "keeper"


class Result(StrEnum):
    """How it ended."""

    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


def _shortened(value: object) -> object:
    return value[:_MOST_TEXT] if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_shortened)]


class Entry(BaseModel):
    """One line of the log; texts are cut to 300 characters.

    Attributes:
        time: when it was written: ISO 8601, UTC.
        who: name of the key or user; empty if unknown.
        address: of the client.
        action: a word, such as `stop`.
        task: id of the import, empty if it is not about one.
        group: its group.
        status: HTTP status of the response.
        details: what was changed.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    time: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))
    by: By
    who: Text = ""
    address: Text = ""
    action: Text
    task: Text = ""
    group: Text = ""
    result: Result = Result.DONE
    status: int | None = None
    details: dict[str, bool | int | Text] = {}


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The log of one home.

    Attributes:
        path: the current file; older ones have a number appended, 1 for the latest.
    """

    path: Path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The log of this home; it need not exist yet."""
        return cls(settings.home / "logs" / "audit.jsonl")

    def write(self, entry: Entry) -> None:
        """Append an entry; one that cannot be written, as on a full disk, goes to the process's log instead.

        What was done stays done: a stop has to work on a full disk, too.
        """
        line = entry.model_dump_json(exclude_defaults=True, exclude={"time"})
        line = f'{{"time":"{entry.time}",{line[1:]}\n'
        try:
            self._append(line.encode())
        except OSError as error:
            log.error("audit entry not written error=%s entry=%s", error, line.rstrip())  # noqa: TRY400 - it says why

    def last(self, count: int) -> list[Entry]:
        """The latest entries, newest first, from the last 256 KiB of each file; lines that are no entries are skipped.

        Raises:
            OSError: a file cannot be read.
        """
        return list(islice(self._latest(), count))

    def _append(self, line: bytes) -> None:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        while True:
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
                size = os.fstat(file).st_size
                if not self._is_current(file):
                    continue  # rotated meanwhile
                if size > MAX_BYTES:
                    self._rotate()
                    continue
                if size and os.pread(file, 1, size - 1) != b"\n":  # the rest of a line found no room on the disk
                    line = b"\n" + line
                if os.write(file, line) < len(line):
                    raise OSError("only a part of the line was written")
                return
            finally:
                os.close(file)

    def _is_current(self, file: int) -> bool:
        try:
            return os.path.samestat(self.path.stat(), os.fstat(file))
        except FileNotFoundError:
            return False

    def _rotate(self) -> None:
        newer = [*reversed([self._older(number) for number in range(1, OLDER_FILES)]), self.path]
        for number, path in zip(range(OLDER_FILES, 0, -1), newer, strict=True):
            with suppress(FileNotFoundError):
                path.replace(self._older(number))

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

    def _latest(self) -> Iterator[Entry]:
        for path in (self.path, *map(self._older, range(1, OLDER_FILES + 1))):
            try:
                lines = _tail(path).splitlines()
            except FileNotFoundError:
                continue
            for line in reversed(lines):
                with suppress(ValidationError):
                    yield Entry.model_validate_json(line)


def audit_command(settings: Settings, action: str, task: str = "", group: str = "", **details: str) -> None:
    """Audit what a command has done for the user who runs it."""
    try:
        who = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        who = str(os.getuid())
    AuditLog.of(settings).write(Entry(by=By.COMMAND, who=who, action=action, task=task, group=group, details=details))


def _tail(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read()
