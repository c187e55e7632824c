"""The console's sessions: a signed cookie that names an API key, and the token that the console's forms carry.

Flask's own session does the signing. The token is an HMAC, so nothing has to be kept for it; it belongs to one session,
or to no session where no login is needed: pages of other sites can read neither.
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
"""From the login on, used or not: a forgotten browser is not logged in the next morning."""

TOKEN_FIELD = "csrf_token"  # noqa: S105 - a name
TOKEN_HEADER = "X-CSRF-Token"  # noqa: S105 - a name


class StalePage(RequestError):
    """A form without the token of its session: not ours, or of a page from before a login or logout."""

    status = 403
    code = "stale_page"


def register(app: Flask, settings: Settings) -> None:
    """Give the application its secret and its cookie.

    The cookie's name has the port: browsers do not keep the cookies of two ports of one host apart.

    Raises:
        OSError: the secret can be neither read nor made.
    """
    app.secret_key = _secret(settings.home / "secrets" / "session_key")
    app.config.update(
        SESSION_COOKIE_NAME=f"face_import_session_{settings.port}",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=settings.console_url.startswith("https:"),
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=LIFETIME,
    )


def begin(key: Key) -> None:
    """Log the browser in with a key; what an earlier session knew is forgotten."""
    session.clear()
    session.permanent = True
    session.update(key=key.id, nonce=secrets.token_urlsafe(16))


def end() -> None:
    """Take the browser's session away."""
    session.clear()


def key_id() -> str:
    """Id of the key that the browser logged in with, empty if it did not."""
    return str(session.get("key", ""))


def token() -> str:
    """The token that forms of this session have to carry."""
    secret = str(current_app.secret_key).encode()
    return hmac.new(secret, f"csrf:{session.get('nonce', '')}".encode(), sha256).hexdigest()


def check_token() -> None:
    """Refuse a form that does not come from a page of this session.

    Raises:
        StalePage: it does not.
    """
    sent = request.headers.get(TOKEN_HEADER) or request.form.get(TOKEN_FIELD, "")
    if not hmac.compare_digest(sent.encode("utf-8", "replace"), token().encode()):
        raise StalePage("nothing was done; load the page again, and then try once more")


def _secret(path: Path) -> str:
    """The secret in a file, which is made if it is missing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_once(path, secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()
