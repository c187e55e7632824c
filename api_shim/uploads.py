"""How large a request may be, and where an upload is buffered until it is ingested: in our home, not in /tmp.

A picture that is searched for stays in memory.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import IO, Any, TypeVar

from flask import Flask, Request, current_app, request

from api_shim.slots import FORMS, SEARCHES, UPLOADS, Slots
from face_import.errors import DiskFull, RequestError
from face_import.settings import Settings
from face_import.space import shortage

BODY_BYTES = 2**20
"""Largest body without an upload: it is held in memory, and may come from clients without a key."""
AT_HAND_BYTES = 2**16
"""A body of a known length up to this is fully received before its request gets a thread (`worker`)."""
F = TypeVar("F", bound=Callable[..., Any])
_TAKE_FILES: set[Callable[..., Any]] = set()
_TAKE_PICTURES: set[Callable[..., Any]] = set()
COPIES = 2
"""An upload is on the disk twice while it is ingested: as it came, and as it is stored."""
IN_MEMORY = 500_000
"""Bytes of an upload that are kept in memory; a larger one goes to an unnamed file."""


class SlowBody(RequestError):
    """The request's body stopped arriving, or arrives too slowly."""

    status = 408
    code = "request_timeout"


class Body:
    """A body that may have to be waited for: reading it takes a slot, and waiting is bounded.

    Args:
        stream: the server's stream.
        slots: where to take a slot.
    """

    def __init__(self, stream: IO[bytes], slots: Slots) -> None:
        self._stream = stream
        self._slots: Slots | None = slots

    def read(self, size: int = -1) -> bytes:
        """The next bytes.

        Raises:
            Busy: all slots are taken.
            SlowBody: the body arrives too slowly.
        """
        if self._slots:
            self._slots.take()
            self._slots = None
        try:
            return self._stream.read(size)
        except TimeoutError:
            raise SlowBody("the request's body stopped arriving, or arrived too slowly") from None


def request_class(folder: Path) -> type[Request]:
    """A request class that buffers files in `folder`, which is created if missing."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    class UploadRequest(Request):
        def _get_file_stream(
            self,
            total_content_length: int | None,  # noqa: ARG002 - Werkzeug's interface
            content_type: str | None,  # noqa: ARG002
            filename: str | None = None,  # noqa: ARG002
            content_length: int | None = None,  # noqa: ARG002
        ) -> IO[bytes]:
            view = current_app.view_functions.get(self.endpoint or "")
            in_memory = 0 if view in _TAKE_PICTURES else IN_MEMORY  # 0: all of it
            return SpooledTemporaryFile(max_size=in_memory, mode="w+b", dir=str(folder))

    return UploadRequest


def takes_file(view: F) -> F:
    """Mark a view whose form may contain a source file."""
    _TAKE_FILES.add(view)
    return view


def takes_picture(view: F) -> F:
    """Mark a view whose form may contain a picture: reading it takes a slot of `SEARCHES`, and it is never stored."""
    _TAKE_PICTURES.add(view)
    return view


def register(app: Flask, settings: Settings) -> None:
    """Bound the body of every request before it is read: only views that take a file or a picture accept a large one.

    The former accept none while the disk is almost full.

    Args:
        app: the application.
        settings: with the sizes of the largest file and picture; the form's other fields are small.
    """
    app.config["MAX_CONTENT_LENGTH"] = settings.max_source_bytes + BODY_BYTES

    @app.before_request
    def bound() -> None:
        slots = _slots(app.view_functions.get(request.endpoint or ""))
        if slots is FORMS:
            request.max_content_length = BODY_BYTES
        elif slots is SEARCHES:
            request.max_content_length = settings.max_image_bytes + BODY_BYTES
        elif (length := request.content_length or 0) <= app.config["MAX_CONTENT_LENGTH"] and (
            trouble := shortage(settings, needed=COPIES * length)
        ):
            raise DiskFull(f"{trouble}; new imports are taken again once there is room")
        if slots is SEARCHES or _may_be_slow():
            request.environ["wsgi.input"] = Body(request.environ["wsgi.input"], slots)


def _slots(view: Callable[..., Any] | None) -> Slots:
    """What reading the request's body takes, by what may be in it."""
    if request.mimetype != "multipart/form-data":
        return FORMS
    if view in _TAKE_PICTURES:
        return SEARCHES
    return UPLOADS if view in _TAKE_FILES else FORMS


def _may_be_slow() -> bool:
    if request.content_length is None:
        return "Transfer-Encoding" in request.headers
    return request.content_length > AT_HAND_BYTES or "Expect" in request.headers
