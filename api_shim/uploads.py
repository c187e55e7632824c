"""Where an upload waits until it is taken in: in our home, not in the machine's temporary folder."""

from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO

from flask import Request

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
