"""Supervisord, whose logs survive a full disk: a line that cannot be written is left out.

Supervisord's own handlers print the error of a line that cannot be written to stderr, which is a file on the same disk;
that raises, and ends supervisord and with it the stack. One that fails to rotate closes the channel of its program,
which then blocks at its next line.
"""

from contextlib import suppress
from typing import IO, Any

from supervisor import loggers, supervisord


class EnduringFileHandler(loggers.RotatingFileHandler):  # type: ignore[misc]  # supervisor ships no types
    """Writes and rotates a log as long as it can."""

    stream: IO[Any]

    def emit(self, record: loggers.LogRecord) -> None:
        """Write a line, and rotate the file if it is time; what fails is tried again with the next line."""
        try:
            super().emit(record)
        except (OSError, ValueError):  # rotating failed, which leaves the file closed
            self._open_again()

    def handleError(self) -> None:  # noqa: N802 - supervisor's name
        """Leave the line out."""
        if self.stream.closed:
            self._open_again()

    def _open_again(self) -> None:
        with suppress(OSError, ValueError):
            self.stream.close()
        with suppress(OSError):
            self.stream = open(self.baseFilename, self.mode)  # noqa: SIM115, PTH123 - as supervisor does


def main() -> None:
    """Run supervisord with the command's arguments."""
    loggers.RotatingFileHandler = EnduringFileHandler
    supervisord.main()


if __name__ == "__main__":
    main()
