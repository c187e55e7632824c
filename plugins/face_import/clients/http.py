"""JSON over HTTP with a face service, and what its answers mean: classified here and nowhere else."""

import json
import re
from collections.abc import Awaitable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from face_import.clients.hosts import tls_context
from face_import.clients.keepalive import Answer, AnswerTooLarge, KeepAlive, NoAnswer, NoConnection
from face_import.clients.transfer import retry_after
from face_import.errors import MalformedAnswer, RefusalKind, ServiceRefusal, ServiceUnavailable

MAX_ANSWER_BYTES = 2**20
_LEAST_ECHO = 8
"""Minimum length of a row's own text that is removed from a service's error text."""
MAX_TEXT = 300
"""Characters of a service's text that are kept: it ends up in a row's message."""

_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "face-import"}
_PASSING = {408, 425, 429}
_ABOUT_CONTENT = {413, 415, 422}
"""Statuses that are about what was sent and nothing else."""
_ABOUT_REQUEST = {400, 409, 413, 415, 422}
"""Statuses of a definite refusal that may be about what was sent; any other is about the client or the address."""

_QUALITY = r"^\W*((bad|face|is|quality|the|too|reject\w*)\W+)*{}\W*$"
"""Matches texts of little more than one word: in a longer text, such as a model's, that word may mean anything."""
_KNOWN_TEXTS: tuple[tuple[RefusalKind, str], ...] = (
    (RefusalKind.FEATURE_EXISTS, r"\bfeature (is |was )?already (is )?exist"),
    (RefusalKind.ID_EXISTS, r"(?<!group )\bid\b.*\balready\b.*\bexist"),
    (RefusalKind.GROUP_EXISTS, r"\bgroup\b.*\balready\b.*\bexist"),
    (
        RefusalKind.GROUP_MISSING,
        r"\bgroup\b.*((\bnot|n't)\b.*\b(exist|found)|\bno such\b)|\b(no|unknown) (such )?group\b",
    ),
    (RefusalKind.NO_FACE, r"\b(no|not) (any )?faces?( was| were| is)? (detected|found)\b|^\W*no face\W*$"),
    (RefusalKind.NO_FACE, r"\bfaces?( is| was)? not (detected|found)\b"),
    (RefusalKind.SEVERAL_FACES, r"\b(multiple|several|more than one) faces? (was |were )?(detected|found)\b"),
    (RefusalKind.SIZE, r"\bface size\b.*<|\bface (is )?too small\b|^\W*((bad|face|is|too)\W+)*small\W*$"),
    (RefusalKind.BLUR, _QUALITY.format(r"blur\w*")),
    (RefusalKind.COVERED, _QUALITY.format(r"cover\w*")),
    (RefusalKind.POSE, _QUALITY.format("pose")),
)
"""Texts of the published library service, loosely: wording and case differ between its releases."""
_ABOUT_SERVICE = re.compile(r"licen[cs]e|quota|expire|token|permission|unauthori|overload|rate limit", re.IGNORECASE)
_ABOUT_PICTURE = r"\b(invalid (id|tag|desc\w*)|image|picture|photo|pixels?|jpe?g|png|tiff?|decod(e|ed|ing))\b"
_PATTERNS = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for kind, pattern in (*_KNOWN_TEXTS, (RefusalKind.PICTURE, _ABOUT_PICTURE))
)
"""Tried in this order on at most `MAX_TEXT` characters: none of them takes a millisecond for the worst of those."""


class JsonService:
    """One face service: a keep-alive pool, JSON in and out. An async context manager.

    There is no retry here: how long to wait for an unavailable service concerns the whole shard.

    Args:
        name: what messages call the service, such as "info service".
        base: URL its paths are appended to.
        timeout_s: seconds for a whole request.
        ca_file: certificates of a private CA, if there is one.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, name: str, base: str, timeout_s: float, ca_file: Path | None = None) -> None:
        self._name = name
        self._base = base
        self._timeout_s = timeout_s
        self._tls = tls_context(ca_file)

    async def __aenter__(self) -> Self:
        """Make the connection pool; belongs to the running event loop."""
        self._connections = KeepAlive(self._base, _HEADERS, MAX_ANSWER_BYTES, self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connections.close()

    def _post(self, path: str, body: str, echoes: Sequence[str] = ()) -> Coroutine[Any, Any, dict[str, Any]]:
        """Send a JSON text and return the object that was answered with 2xx.

        Args:
            path: below the service's URL.
            body: JSON.
            echoes: texts of the row that an error may repeat, and that say nothing about the error.

        Raises:
            ServiceUnavailable: no usable answer; another try may bring one.
            ServiceRefusal: a definite answer that is not a success.
        """
        return self._understood(self._connections.post(path, body.encode(), self._timeout_s), echoes)

    def _get(self, path: str) -> Coroutine[Any, Any, dict[str, Any]]:
        """Ask for a path and return the object that was answered with 2xx; raises as `_post` does."""
        return self._understood(self._connections.get(path, self._timeout_s), ())

    async def _understood(self, answered: Awaitable[Answer], echoes: Sequence[str]) -> dict[str, Any]:
        try:
            response = await answered
        except NoConnection as error:
            raise ServiceUnavailable(f"{self._name}: no connection ({error})", sent=False) from None
        except TimeoutError:
            raise ServiceUnavailable(f"{self._name}: no answer within {self._timeout_s:g} s") from None
        except NoAnswer as error:
            raise ServiceUnavailable(f"{self._name}: no answer ({error})") from None
        except AnswerTooLarge as error:
            raise malformed(str(error)) from None
        return self._object(response, echoes)

    def _object(self, response: Answer, echoes: Sequence[str]) -> dict[str, Any]:
        status, raw = response.status, response.body
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            answer = None
        if 200 <= status < 300:
            if answer is None and raw.strip() != b"null":
                raise ServiceUnavailable(f"{self._name}: answer is not JSON: {_shown(raw)}")
            if not isinstance(answer, dict):
                raise malformed("not an object")
            return answer
        text = _error_text(answer) or _shown(raw) or response.reason[:MAX_TEXT]
        kind = classify(text, echoes)
        if kind is not None and not (kind is RefusalKind.PICTURE and status not in _ABOUT_REQUEST):
            raise ServiceRefusal(text, kind=kind)
        if status in _PASSING or status >= 500:
            # 429 means that nothing was done; a 5xx may come from a proxy after the service did everything
            raise ServiceUnavailable(
                f"{self._name}: {status} {text}".strip(),
                retry_after=retry_after(response.headers.get("retry-after", "")),
                sent=status != 429,
                internal=status == 500,
            )
        kind = RefusalKind.OTHER if status in _ABOUT_REQUEST else RefusalKind.DENIED
        kind = RefusalKind.PICTURE if status in _ABOUT_CONTENT else kind
        raise ServiceRefusal(f"{status} {text}".strip()[:MAX_TEXT], kind=kind)


def classify(text: str, echoes: Sequence[str] = ()) -> RefusalKind | None:
    """Return what a service's known error text means; None for an unknown one.

    Args:
        text: the service's, at most `MAX_TEXT` characters.
        echoes: the row's own texts, which it may repeat: a row with the tag "no such group" must not end an import.
    """
    for echo in echoes:
        if len(echo) >= _LEAST_ECHO:
            text = text.replace(echo, " ")
    kind = _kind(text)
    if kind is RefusalKind.GROUP_MISSING:  # it ends an import, so the row's own texts must not contribute to it
        for echo in filter(None, echoes):
            text = text.replace(echo, " ")
        return None if any("group" in echo.lower() for echo in echoes) else _kind(text)
    return kind


def _kind(text: str) -> RefusalKind | None:
    kind = next((kind for kind, pattern in _PATTERNS if pattern.search(text)), None)
    return None if kind is RefusalKind.PICTURE and _ABOUT_SERVICE.search(text) else kind


def refusal(text: str, echoes: Sequence[str] = ()) -> ServiceRefusal:
    """Return the refusal for a service's own error text, classified."""
    text = text.strip()[:MAX_TEXT] or "refused without a reason"
    return ServiceRefusal(text, kind=classify(text, echoes) or RefusalKind.OTHER)


def malformed(what: str) -> MalformedAnswer:
    """Return the refusal for an answer whose structure is not the protocol's."""
    return MalformedAnswer(f"malformed answer: {what}"[:MAX_TEXT])


def _error_text(answer: object) -> str:
    """Return the text under "error" or "message", the two places the services put it."""
    if not isinstance(answer, dict):
        return ""
    found = answer.get("error") or answer.get("message")
    if isinstance(found, dict):
        found = found.get("message")
    return found.strip()[:MAX_TEXT] if isinstance(found, str) else ""


def _shown(raw: bytes) -> str:
    return " ".join(raw[:MAX_TEXT].decode("utf-8", "replace").split())
