"""The console's sessions: a signed cookie that names an API key, and the CSRF token of the console's forms.

Flask's own session does the signing. The token is an HMAC, so it needs no storage. It belongs to one session, or to
none if no login is needed; other sites' pages can read neither.
"""

import hmac
import secrets
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from flask import Flask, current_app, request, session

from face_import.errors import RequestError
from face_import.keys import Key
from face_import.private import write_once
from face_import.settings import Settings

LIFETIME = timedelta(hours=12)
"""From the login, used or not: a forgotten browser is logged out by the next morning."""

TOKEN_FIELD = "csrf_token"  # noqa: S105 - a name
TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105 - a name


class StalePage(RequestError):
    """A form without its session's token: from another site, or from before a login or logout."""

    status = 403
    code = "stale_page"


def register(app: Flask, settings: Settings) -> None:
    """Set up the application's secret and session cookie.

    The cookie's name includes the port: browsers share cookies between the ports of a host.

    Raises:
        OSError: the secret can be neither read nor created.
    """
    app.secret_key = _secret(settings.home / "secrets" / "session_key")
    app.config.update(
        SESSION_COOKIE_NAME=f"face_import_session_{settings.port}",
        SESSION_COOKIE_PATH=settings.public_path or "/",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=settings.console_url.startswith("https:"),
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LIFETIME,
    )


def begin(key: Key) -> None:
    """Log the browser in with a key, replacing any earlier session."""
    session.clear()
    session.permanent = True
    session.update(key=key.id, nonce=secrets.token_urlsafe(16))


def end() -> None:
    """End the browser's session."""
    session.clear()


def key_id() -> str:
    """Id of the key that the browser logged in with, or empty."""
    return str(session.get("key", ""))


def token() -> str:
    """The token that forms of this session must carry."""
    secret = str(current_app.secret_key).encode()
    return hmac.new(secret, f"csrf:{session.get('nonce', '')}".encode(), sha256).hexdigest()


def check_token() -> None:
    """Reject a form that does not come from a page of this session.

    Raises:
        StalePage: it does not.
    """
    sent = request.headers.get(TOKEN_HEADER) or request.form.get(TOKEN_FIELD, "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), token().encode()):
        raise StalePage("nothing was changed; reload the page and try again")


def _secret(path: Path) -> str:
    """The secret in a file, created if missing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_once(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()
