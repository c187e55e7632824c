"""URLs as bytes: what a file or a host says is what is requested, escapes included."""

import re
from base64 import b64encode
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from yarl import URL

from face_import.clients.transfer import FetchError
from face_import.contract import MAX_URI_BYTES, Reason
from face_import.domain.uri_form import flaw_of

_VERBATIM = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
"""A URL with nothing to quote. Matching takes a hundred bytes a character."""
_UNFIT = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]")
"""What may not stand in a URL."""
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/?#]*))?", re.DOTALL)
_SURROUNDING = " \t\r\n\f\v"
_PICTURE_NAME = re.compile(r"\.(?:jpe?g|png|gif|bmp|webp|tiff?|hei[cf]|avif)\Z", re.IGNORECASE)


class Target(NamedTuple):
    """Where a request goes.

    Attributes:
        url: without user, password and fragment; is sent as it is.
        login: value of the `Authorization` header for its user and password, empty if it has none.
    """

    url: URL
    login: str = ""


def target_of(uri: str) -> Target:
    """Return where a cell's http or https URL leads.

    A `#` before what is plainly the rest of an image's name, as in `a#1.jpg`, belongs to the name.

    Raises:
        FetchError: it leads nowhere; says why.
    """
    if flaw := flaw_of(uri):
        raise FetchError(flaw.value, Reason.INVALID_URI)
    if len(uri) > MAX_URI_BYTES:
        raise FetchError(f"a URL of {len(uri)} characters, more than {MAX_URI_BYTES}", Reason.INVALID_URI)
    if "#" in uri:
        before, _, fragment = uri.partition("#")
        named = "?" not in before and _PICTURE_NAME.search(fragment) and not _PICTURE_NAME.search(before)
        uri = uri.replace("#", "%23") if named else before
    try:
        if _VERBATIM.fullmatch(uri) and "@" not in uri:
            url = URL(uri, encoded=True)
            if url.host and url.port:
                return Target(url)
        elif whole := _ABSOLUTE.match(uri):
            return _target(whole[1].lower(), whole[2] or "", uri[whole.end() :])
    except ValueError:
        pass
    raise FetchError("not a valid URL", Reason.INVALID_URI)


def redirected(base: URL, location: str) -> Target:
    """Return where a `Location` leads, which is resolved as RFC 3986 says and otherwise left alone.

    Args:
        base: what was requested.
        location: the header, whose bytes that are not UTF-8 are surrogates, as aiohttp decodes it.

    Raises:
        FetchError: it leads nowhere.
    """
    reference = location.strip(_SURROUNDING)
    scheme, authority = base.scheme, None
    if whole := _ABSOLUTE.match(reference):
        scheme, authority, reference = whole[1].lower(), whole[2], reference[whole.end() :]
    elif reference.startswith("//"):
        authority = re.split("[/?#]", reference[2:], maxsplit=1)[0]
        reference = reference[2 + len(authority) :]
    if scheme not in {"http", "https"} or (authority is None and scheme != base.scheme):
        raise FetchError("redirected to something that is not an http or https URL", Reason.REDIRECTS)
    try:
        if authority is not None:
            return _target(scheme, authority, reference)
        return Target(URL(f"{base.origin()}{_quoted(_resolved(base, reference))}", encoded=True))
    except ValueError:
        raise FetchError("redirected to something that is not a valid URL", Reason.REDIRECTS) from None


def _target(scheme: str, authority: str, rest: str) -> Target:
    """Quote the parts of a URL each in its own way.

    Raises:
        ValueError: there is no such host or port.
    """
    login, at, host = authority.rpartition("@")
    if "\\" in authority:
        raise ValueError("a path of Windows, or a trick")
    if not _VERBATIM.fullmatch(host):  # a name in other letters
        host = URL(f"{scheme}://{host}").host_port_subcomponent or ""
    url = URL(f"{scheme}://{host}{_quoted(rest.partition('#')[0])}", encoded=True)
    if not url.host or not url.port:
        raise ValueError("no host")
    return Target(url, _basic(login) if at else "")


def _quoted(text: str) -> str:
    """Percent-encode what may not stand in a URL, byte for byte.

    Raises:
        UnicodeEncodeError: half of a character.
    """
    return _UNFIT.sub(
        lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "surrogateescape")), text
    )


def _basic(login: str) -> str:
    """The header for a user and password, in UTF-8 (RFC 7617) unless they are escaped otherwise."""
    user, _, password = (unquote_to_bytes(_quoted(part)) for part in login.partition(":"))
    return f"Basic {b64encode(user + b':' + password).decode()}"


def _resolved(base: URL, reference: str) -> str:
    """Path and query of a reference without scheme and authority."""
    path, mark, query = reference.partition("#")[0].partition("?")
    if not path:
        return f"{base.raw_path}{mark}{query}" if mark else base.raw_path_qs
    if not path.startswith("/"):
        path = f"{base.raw_path.rpartition('/')[0]}/{path}"
    return f"{_without_dots(path)}{mark}{query}" if "/." in path else f"{path}{mark}{query}"


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[max(1, len(kept) - 1) :]
        elif segment != ".":
            kept.append(segment)
    return "/".join([*kept, ""] if path.endswith(("/.", "/..")) else kept)
