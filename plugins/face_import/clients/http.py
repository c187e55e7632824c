"""JSON over HTTP POST to a face service, and what its answers mean: classified here and nowhere else."""

import json
import re
from io import BytesIO
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from face_import.clients.transfer import retry_after
from face_import.errors import RefusalKind, ServiceRefusal, ServiceUnavailable

MAX_ANSWER_BYTES = 4 * 2**20
MAX_TEXT = 300
"""Characters of a service's text that are kept: it ends up in a row's message."""

_IN_ONE_PIECE = 2**20
_HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "face-import"}
_PASSING = {408, 425, 429}

_KNOWN_TEXTS: tuple[tuple[RefusalKind, str], ...] = (
    (RefusalKind.FEATURE_EXISTS, r"\bfeature\b.*\balready\b.*\bexist"),
    (RefusalKind.ID_EXISTS, r"(?<!group )\bid\b.*\balready\b.*\bexist"),
    (RefusalKind.GROUP_EXISTS, r"\bgroup\b.*\balready\b.*\bexist"),
    (
        RefusalKind.GROUP_MISSING,
        r"\bgroup\b.*((\bnot|n't)\b.*\b(exist|found)|\bno such\b)|\b(no|unknown) (such )?group\b",
    ),
    (
        RefusalKind.NO_FACE,
        r"\b(no|not?) (any )?faces?\b.*\b(detect|found)|\bfaces? (is |was )?not (detect|found)",
    ),
    (RefusalKind.OTHER, r"\bmultiple faces?\b.*\bdetect|\bface size\b.*<"),
    (RefusalKind.OTHER, r"^\W*((bad|face|is|quality|the|too|reject\w*)\W+)*(blur\w*|cover\w*|pose)\W*$"),
)
"""Texts of the published library service, loosely: wording and case differ between its releases."""
_PATTERNS = tuple((kind, re.compile(pattern, re.IGNORECASE | re.DOTALL)) for kind, pattern in _KNOWN_TEXTS)


class JsonService:
    """One outer service: a keep-alive pool, JSON in and out. An async context manager.

    There is no retry here: how long to wait for a service that is away concerns the whole shard.

    Args:
        name: what messages call the service, such as "info service".
        base: URL its paths are appended to.
        timeout_s: seconds for a whole request.
    """

    def __init__(self, name: str, base: str, timeout_s: float) -> None:
        self._name = name
        self._base = base
        self._timeout_s = timeout_s

    async def __aenter__(self) -> Self:
        """Open the connection pool; belongs to the running event loop."""
        self._session = aiohttp.ClientSession(
            # shorter than gunicorn keeps an idle connection (2 s): a POST on a closed one is lost
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=1.5),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            headers=_HEADERS,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def _post(self, path: str, body: str) -> dict[str, Any]:
        """Send a JSON text and return the object that was answered with 2xx.

        Raises:
            ServiceUnavailable: no usable answer; another try may bring one.
            ServiceRefusal: a definite answer that is not a success.
        """
        data = body.encode()
        try:
            async with self._session.post(
                URL(self._base + path),
                data=data if len(data) <= _IN_ONE_PIECE else BytesIO(data),
                allow_redirects=False,
            ) as response:
                answer = await _bounded(response)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ServiceUnavailable(f"{self._name}: no connection ({_cause(error)})", sent=False) from None
        except TimeoutError:
            raise ServiceUnavailable(f"{self._name}: no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ServiceUnavailable(f"{self._name}: no answer ({_cause(error)})") from None
        return self._understood(response, answer)

    def _understood(self, response: aiohttp.ClientResponse, raw: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(raw)
        except (ValueError, RecursionError):
            answer = None
        status = response.status
        if 200 <= status < 300:
            if answer is None and raw.strip() != b"null":
                raise ServiceUnavailable(f"{self._name}: answer is not JSON: {_shown(raw)}")
            if not isinstance(answer, dict):
                raise malformed("not an object")
            return answer
        text = _error_text(answer) or _shown(raw) or (response.reason or "")
        kind = classify(text)
        if kind is not None:
            raise ServiceRefusal(text, kind=kind)
        if status in _PASSING or status >= 500:
            # 429 means that nothing was done; a 5xx may come from a proxy after the service did it all
            raise ServiceUnavailable(
                f"{self._name}: {status} {text}".strip(),
                retry_after=retry_after(response.headers),
                sent=status != 429,
            )
        raise ServiceRefusal(f"{status} {text}".strip()[:MAX_TEXT])


def classify(text: str) -> RefusalKind | None:
    """Return what a service's known error text means; None for an unknown one."""
    return next((kind for kind, pattern in _PATTERNS if pattern.search(text)), None)


def refusal(text: str) -> ServiceRefusal:
    """Return the refusal for a service's own error text, of whatever kind it turns out to be."""
    text = text.strip()[:MAX_TEXT] or "refused without a reason"
    return ServiceRefusal(text, kind=classify(text) or RefusalKind.OTHER)


def malformed(what: str) -> ServiceRefusal:
    """Return the refusal for an answer whose structure is not the protocol's."""
    return ServiceRefusal(f"malformed answer: {what}"[:MAX_TEXT])


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise malformed(f"larger than {MAX_ANSWER_BYTES} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


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


def _cause(error: Exception) -> str:
    os_error = getattr(error, "os_error", None)
    return str(getattr(os_error, "strerror", None) or type(error).__name__)
