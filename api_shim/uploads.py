"""How large a request may be, and where an upload waits until it is taken in: in our home, not in /tmp."""

from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from flask import Flask, Request, request

BODY_BYTES = 2**20
"""Largest body that is no upload: it is held in memory, and may come from somebody without a key."""
_TAKE_FILES = {"tasks.create", "console.create", "console.new_preview"}
IN_MEMORY = 500_000
"""Bytes of an upload that are kept in memory; a larger one goes to a file without a name."""


def request_class(folder: Path) -> type[Request]:
    """A request whose files wait in `folder`, which is made when it is missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    class UploadRequest(Request):
        def _get_file_stream(
            self,
            total_content_length: int | None,  # noqa: ARG002 - Werkzeug's interface
            content_type: str | None,  # noqa: ARG002
            filename: str | None = None,  # noqa: ARG002
            content_length: int | None = None,  # noqa: ARG002
        ) -> IO[bytes]:
            return SpooledTemporaryFile(max_size=IN_MEMORY, mode="w+b", dir=str(folder))

    return UploadRequest


def register(app: Flask, max_source_bytes: int) -> None:
    """Bound every request, before anything reads it: only where a file is expected a body may be as large as one.

    Args:
        app: the application.
        max_source_bytes: largest file; what stands beside it in a form is small.
    """
    app.config["MAX_CONTENT_LENGTH"] = max_source_bytes + BODY_BYTES

    @app.before_request
    def bound() -> None:
        if request.endpoint not in _TAKE_FILES or request.mimetype != "multipart/form-data":
            request.max_content_length = BODY_BYTES
