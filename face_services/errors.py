"""Every failure a caller may see, each with its HTTP status.

ServiceError
├── SettingsError        a FACE_SERVICES_* variable is wrong (start-up only)
├── OtherEngine          the library's faces are another engine's (start-up only)
├── BadRequest     400   the body is not what the protocol asks for
│   ├── BadImage   400   the picture cannot be decoded or is too large in pixels
│   └── NoFace     400   there is no face where one was expected
├── UnknownGroup   404
├── Conflict       409   the group or the id exists, or the group is full
└── Passing        503   the same request may succeed in a moment; answered with Retry-After
    ├── Busy       503   too many requests wait
    └── EngineDied 503   the process that worked on the request ended
"""

from face_services.engine import ENGINE


class ServiceError(Exception):
    """Root of the tree; `status` is the HTTP status and `str(error)` the text on the wire."""

    status = 500


class SettingsError(ServiceError):
    """An environment variable has a value that cannot be used; the text names it on one line."""


class OtherEngine(ServiceError):
    """A library was made by another engine."""

    def __init__(self, path: str, made_by: str) -> None:
        super().__init__(
            f"{path} was made with {made_by}; its faces cannot be compared with those of {ENGINE}. Images are not"
            " kept in it, so it cannot be converted: move it away and import again (docs/how-to/change-face-engine.md)"
        )


class BadRequest(ServiceError):
    """The client's request cannot be understood."""

    status = 400


class BadImage(BadRequest):
    """The picture is not an image, is damaged, or has more pixels than allowed."""


class NoFace(BadRequest):
    """No face was found in the picture, or in the given bounding box."""

    def __init__(self, text: str = "No face found") -> None:
        super().__init__(text)


class UnknownGroup(ServiceError):
    """The named group does not exist; the text is the protocol's own."""

    status = 404

    def __init__(self, name: str) -> None:
        super().__init__(f"group {name} not exist")


class Conflict(ServiceError):
    """The name already exists, or the capacity is exceeded."""

    status = 409


class Passing(ServiceError):
    """The request is valid, but cannot be served now: the client should retry later."""

    status = 503
    retry_after_seconds = 1


class Busy(Passing):
    """The queue in front of the engines is full."""

    def __init__(self) -> None:
        super().__init__("too many requests are waiting, try again later")


class EngineDied(Passing):
    """A process of the pool was killed or crashed, and all of the pool's current jobs were lost."""

    def __init__(self) -> None:
        super().__init__("the engine ended unexpectedly, try again")
