"""Who is asking: API keys, the groups they are for, and how often they may ask."""

import time
from types import MappingProxyType

from flask import Flask, g, request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from face_import.errors import ConfigError, RequestError, TaskNotFound
from face_import.keys import Key, KeyFile, KeyRing
from face_import.settings import Settings

_SCHEME = "Bearer "
_OPEN = {"/healthz", "/readyz"}


class Unauthorized(RequestError):
    """No key, or one that is none."""

    status = 401
    code = "unauthorized"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="face import"'})


class OtherGroup(RequestError):
    """A key that is not for the group that is named."""

    status = 403
    code = "forbidden"


class TooMany(RequestError):
    """More requests in a minute than a key may make."""

    status = 429
    code = "too_many_requests"

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(wait)}


def has_keys(settings: Settings) -> bool:
    """Whether the API asks for keys.

    Raises:
        ConfigError: it is to, but there is no key.
    """
    if settings.api_keys_file is None:
        return False
    file = KeyFile.of(settings)
    if not file.read():
        raise ConfigError(f"FACE_IMPORT_API_KEYS_FILE: no key is in {file.path}: face-import keys add NAME")
    return True


def register(app: Flask, settings: Settings) -> None:
    """Ask every request for a key, if a file of keys is configured; after the other guards."""
    if not has_keys(settings):
        return
    ring = KeyRing(KeyFile.of(settings))
    # One process serves the API, so its memory is the place to count.
    limiter = MovingWindowRateLimiter(MemoryStorage())
    limit = RateLimitItemPerMinute(settings.key_requests_per_minute)

    @app.before_request
    def check() -> None:
        if request.path in _OPEN:
            return
        sent = request.headers.get("Authorization", "")
        found = ring.find(sent.removeprefix(_SCHEME)) if sent.startswith(_SCHEME) else None
        if found is None:
            raise Unauthorized("send your API key: Authorization: Bearer <key>")
        name, g.key = found
        if not limiter.hit(limit, name):
            reset, _ = limiter.get_window_stats(limit, name)
            wait = max(1, round(reset - time.time()))
            raise TooMany(f"more than {settings.key_requests_per_minute} requests in a minute", wait)
        if is_scoped() and not request.path.startswith("/v1/"):
            raise OtherGroup("this is about all groups, and your key is for some of them")


def check_group(group: str) -> None:
    """Refuse a group that the request's key is not for.

    Raises:
        OtherGroup: it is not.
    """
    if not _may_see(group):
        raise OtherGroup(f"group_name: your key is not for the group {group[:80]!r}")


def check_task(task_id: str, group: str) -> None:
    """Hide a task of a group that the request's key is not for.

    Raises:
        TaskNotFound: as if there were none.
    """
    if not _may_see(group):
        raise TaskNotFound(f"there is no task {task_id!r}")


def is_scoped() -> bool:
    """Whether the request's key is for some groups only."""
    key: Key | None = g.get("key")
    return key is not None and key.groups is not None


def _may_see(group: str) -> bool:
    key: Key | None = g.get("key")
    return key is None or key.may_see(group)
