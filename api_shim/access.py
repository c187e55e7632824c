"""Authentication: API keys, the groups they have access to, and rate limits."""

import time
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, TypeVar, cast

from flask import Flask, current_app, g, request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from api_shim import sessions
from api_shim.app_context import app_context
from api_shim.errors import wants_page
from face_import.catalogue import ImportTask
from face_import.domain.identity import is_task_id
from face_import.errors import ConfigError, RequestError, TaskNotFound
from face_import.keys import Key, KeyFile, KeyRing
from face_import.settings import Settings

_SCHEME = "Bearer "
_OPEN = {"/healthz", "/readyz"}
F = TypeVar("F", bound=Callable[..., Any])
_BEFORE_LOGIN: set[Callable[..., Any]] = set()
_WRONG_LOGINS = RateLimitItemPerMinute(20)


class Unauthorized(RequestError):
    """Missing or invalid API key."""

    status = 401
    code = "unauthorized"
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer realm="face import"'})


class LoginNeeded(Unauthorized):
    """As `Unauthorized`, for a browser, which is redirected to the login."""


class OtherGroup(RequestError):
    """The key has no access to the group."""

    status = 403
    code = "forbidden"


class TooMany(RequestError):
    """The rate limit of a key or an address is exceeded."""

    status = 429
    code = "too_many_requests"

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self.headers = {"Retry-After": str(wait)}


def has_keys(settings: Settings) -> bool:
    """Whether the API requires keys.

    Raises:
        ConfigError: it does, but there are none.
    """
    if settings.api_keys_file is None:
        return False
    file = KeyFile.of(settings)
    if not file.read():
        raise ConfigError(f"FACE_IMPORT_API_KEYS_FILE: no keys in {file.path}; add one with face-import keys add NAME")
    return True


class Keys:
    """The keys and their rate limits.

    Args:
        settings: name the key file and the rate.
    """

    def __init__(self, settings: Settings) -> None:
        self._ring = KeyRing(KeyFile.of(settings))
        # Counting in memory is enough: one process serves the API.
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._limit = RateLimitItemPerMinute(settings.key_requests_per_minute)

    def authenticate_by_header(self) -> bool:
        """Authenticate by the request's Authorization header; False if it has none.

        Raises:
            Unauthorized: the header is not a valid key.
            TooMany: the key's rate limit is exceeded.
        """
        sent = request.headers.get("Authorization")
        if sent is None:
            return False
        found = self._ring.find(sent.removeprefix(_SCHEME)) if sent.startswith(_SCHEME) else None
        if found is None:
            raise _unauthorized()
        self._use(*found)
        g.by_header = True
        return True

    def authenticate_by_session(self) -> bool:
        """Authenticate by the browser's session; False if it has none or its key was revoked.

        Raises:
            TooMany: the key's rate limit is exceeded.
        """
        found = self._ring.by_id(sessions.key_id())
        if found is None:
            return False
        self._use(*found)
        return True

    def log_in(self, text: str) -> bool:
        """Start a session with a key; False if the key is invalid.

        Invalid keys count against the client's address, valid ones as a request of their key.

        Raises:
            TooMany: too many invalid keys from this address, or the key's rate limit is exceeded.
        """
        here = request.remote_addr or ""
        if not self._limiter.test(_WRONG_LOGINS, here):
            raise self._too_many(_WRONG_LOGINS, here, "invalid keys")
        found = self._ring.find(text)
        if found is None:
            self._limiter.hit(_WRONG_LOGINS, here)
            return False
        self._use(*found)
        sessions.begin(found[1])
        return True

    def _use(self, name: str, key: Key) -> None:
        if not self._limiter.hit(self._limit, name):
            raise self._too_many(self._limit, name, "requests")
        g.key, g.key_name = key, name

    def _too_many(self, limit: RateLimitItemPerMinute, name: str, what: str) -> TooMany:
        reset, _ = self._limiter.get_window_stats(limit, name)
        return TooMany(f"more than {limit.amount} {what} per minute", max(1, round(reset - time.time())))


def register(app: Flask, settings: Settings) -> None:
    """Require a key for every request, if a key file is configured; runs after the other guards.

    The console's pages accept a session instead. `/v1` never does: any site can make a browser send its cookies.
    """
    sessions.register(app, settings)
    keys = app.extensions["face_import_keys"] = Keys(settings) if has_keys(settings) else None
    if keys is None:
        return

    @app.before_request
    def check() -> None:
        if request.path in _OPEN or keys.authenticate_by_header():
            return
        if request.path.startswith("/v1/"):
            raise _unauthorized()
        if _is_open_page() or keys.authenticate_by_session():
            return
        if wants_page() or request.headers.get("HX-Request") == "true":
            raise LoginNeeded("log in with your API key")
        raise _unauthorized()


def before_login(view: F) -> F:
    """Mark a page as public: it needs no key."""
    _BEFORE_LOGIN.add(view)
    return view


def _is_open_page() -> bool:
    endpoint = request.endpoint or ""
    return endpoint == f"{request.blueprint}.static" or current_app.view_functions.get(endpoint) in _BEFORE_LOGIN


def keys_in_use() -> Keys | None:
    """The keys, or None if none are required."""
    return cast("Keys | None", current_app.extensions["face_import_keys"])


def _unauthorized() -> Unauthorized:
    return Unauthorized("send your API key: Authorization: Bearer <key>")


def check_group(group: str) -> None:
    """Check that the request's key has access to a group.

    Raises:
        OtherGroup: it has none.
    """
    if not may_see(group):
        raise OtherGroup(f"group_name: your key has no access to group {group[:80]!r}", field="group_name")


def load_task(task_id: str) -> ImportTask:
    """The task with this id; a malformed id never reaches the database.

    Raises:
        TaskNotFound: there is none, or the request's key has no access to its group.
    """
    task = app_context().catalogue.tasks.get(task_id) if is_task_id(task_id) else None
    if task is None or not may_see(task.config.group_name):
        raise TaskNotFound(f"there is no task {task_id[:40]!r}")
    return task


def is_scoped() -> bool:
    """Whether the request's key is limited to some groups."""
    return groups() is not None


def key_id() -> str:
    """Identifies the request's key; empty if none is required."""
    key: Key | None = g.get("key")
    return key.id if key else ""


def groups() -> tuple[str, ...] | None:
    """The groups that the request's key has access to, None for all."""
    key: Key | None = g.get("key")
    return None if key is None else key.groups


def may_see(group: str) -> bool:
    """Whether the request's key has access to this group."""
    key: Key | None = g.get("key")
    return key is None or key.may_see(group)
