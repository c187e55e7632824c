"""What a uri cell holds instead of a URI that can be fetched, told by its form, and what to do about it."""

import re
import unicodedata
from enum import StrEnum

from face_import.contract import MAX_URI_BYTES
from face_import.domain.data_uri import is_base64_image
from face_import.domain.uri import scheme_of

EXCEL_CHARACTERS = 32_767
"""That Excel keeps of a cell."""
_LOOKED_AT = 400
"""Characters of a cell without a scheme. It may have 32 million."""
_START = 12
_SCHEMES = ("http", "https", "data")


class UriFlaw(StrEnum):
    """Why a cell's form rules out fetching it, in English; the console has the Chinese under the same texts."""

    EXAMPLE = "an example's address (example.invalid): write an image's URL, or remove the row"
    SEVERAL = "two URLs in the cell: write one on each row"
    SLASHES = "misspelt scheme: a URL begins with https:// or http://, a colon and two slashes"
    FULL_WIDTH = "full-width characters in the scheme: type it in ASCII, such as https://"
    NO_SCHEME = "no scheme: a URL begins with https:// or http://"
    LOCAL = "a path on a computer, not a URL: put the image on a web server, or write it as a data URI"
    QUOTES = "quotes or brackets around the URL: remove them"
    MARKUP = "HTML or Markdown around the URL: write only the URL"
    FORMULA = "a spreadsheet's formula: save the file with values instead of formulas"
    CELL_IMAGE = "an image inside the spreadsheet (DISPIMG), which a CSV file does not contain: write its URL"
    BASE64 = "bare base64: write data:image/jpeg;base64, in front, and quote the cell"
    NO_DATA = "a data URI without data: in front of its media type"
    PYTHON_BYTES = "Python's b'...' is around the cell: use .decode() where the file is written"
    OBJECT_STORE = "an object store's URI: write the object's https URL, a signed one if it is private"
    FTP = "FTP is not supported: put the image on a web server and write its https URL"
    EMAIL = "an e-mail address, not an image's URL"
    BROWSER = "exists only in the browser or e-mail it was copied from: write the image's https URL"
    OTHER_SCHEME = "unsupported scheme: use http, https or data"
    NO_URI = "not a URI: use http, https or data"


_MEANT_AS_DATA = {UriFlaw.BASE64, UriFlaw.NO_DATA, UriFlaw.PYTHON_BYTES}
_BY_SCHEME = {
    UriFlaw.LOCAL: ("file",),
    UriFlaw.EMAIL: ("mailto",),
    UriFlaw.FTP: ("ftp", "ftps", "sftp"),
    UriFlaw.BROWSER: ("blob", "cid", "mid", "javascript", "about", "content", "filesystem"),
    UriFlaw.OBJECT_STORE: (
        *("s3", "s3a", "s3n", "gs", "gcs", "oss", "cos", "cosn", "obs", "tos", "bos", "minio"),
        *("az", "abfs", "abfss", "wasb", "wasbs", "swift"),
    ),
}
_FLAW_OF_SCHEME = {scheme: flaw for flaw, schemes in _BY_SCHEME.items() for scheme in schemes}

_FORMS = tuple(
    (flaw, re.compile(pattern, re.IGNORECASE))
    for flaw, pattern in (
        (UriFlaw.CELL_IMAGE, r"=(?:_xlfn\.)?DISPIMG\b"),
        (UriFlaw.FORMULA, r"[=＝]"),
        (UriFlaw.PYTHON_BYTES, r"b[\"']"),
        (UriFlaw.NO_DATA, r"(?:image/[\w.+-]{1,40})?;?base64,"),
        (UriFlaw.MARKUP, r"<(?:a|img|div|p|span)\s|!?\[[^\]]*\]\("),
        (UriFlaw.QUOTES, r"[<\"'`´“”„‟‘’‚«»‹›＂＇＜《〈「『【\[(（{]\s*(?:https?:|data:|www\.|//)"),
        (UriFlaw.SLASHES, r"(?:https?|data)\s*[;:.,]?\s*(?://|\\\\)"),
        (UriFlaw.NO_SCHEME, r"//[^/]|localhost[:/]|www\.|(?:[\w-]+\.)+[\w-]+/|[\w.-]+:\d{1,5}(?:[/?#]|\Z)"),
        (UriFlaw.LOCAL, r"[a-z]:[\\/]|[\\/~.]"),
        (UriFlaw.EMAIL, r"[^\s@/:]+@[^\s@/:]+\Z"),
    )
)
"""What a cell without a known scheme begins with, in this order."""
_PATH = re.compile(r"[\\/]|\.(?:jpe?g|png|gif|bmp|webp|tiff?|heic|heif|avif)\Z", re.IGNORECASE)
_LONG_WORD = re.compile(r"[A-Za-z0-9+/_\r\n-]{200}")
"""No path has that many characters without anything outside base64's alphabet."""
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+\Z")
_EXAMPLE = "://example.invalid/"
"""Of the rows in the console's templates; no such host can exist (RFC 6761)."""
_SECOND_URL = re.compile(r"([\s,;|，；、])https?://", re.IGNORECASE)


def flaw_of(uri: str) -> UriFlaw | None:
    """Return what rules out fetching a URI that was `cleaned`; None if its form is good.

    The inside of a data URI is not looked at: see `decode_data_uri`.
    """
    scheme = scheme_of(uri)
    if scheme == "data":
        return None
    if scheme in _SCHEMES:
        return _flaw_of_url(uri[:MAX_URI_BYTES], scheme)
    return _FLAW_OF_SCHEME.get(scheme) or _flaw_of_other(uri[:_LOOKED_AT], scheme)


def embeds_image(uri: str) -> bool:
    """Whether a cell is a data URI, or what somebody wrote who meant one."""
    return scheme_of(uri) == "data" or flaw_of(uri) in _MEANT_AS_DATA


def hint_on_failure(uri: str) -> str:
    """Return the likely reason why the image of a URI of good form could not be had; empty if there is none."""
    if len(uri) == EXCEL_CHARACTERS:
        return f"the cell has exactly {EXCEL_CHARACTERS:,} characters: Excel cuts cells off at that limit"
    if is_html_escaped(uri):
        return "the query has &amp; where & is meant: the URL was copied from HTML"
    return ""


def is_html_escaped(uri: str) -> bool:
    """Whether a URL's query has been escaped for HTML."""
    return scheme_of(uri) in {"http", "https"} and "&amp;" in uri[:MAX_URI_BYTES].partition("?")[2].lower()


def _flaw_of_url(url: str, scheme: str) -> UriFlaw | None:
    """Look at an http or https URL; almost all of them end here, so this is quick."""
    at = len(scheme)
    if not url.startswith("://", at) or url.startswith(("/", "\\"), at + 3):
        full_width = unicodedata.normalize("NFKC", url[at : at + 3]) == "://"
        return UriFlaw.FULL_WIDTH if full_width and url[at : at + 3] != "://" else UriFlaw.SLASHES
    if url.startswith(_EXAMPLE, at):
        return UriFlaw.EXAMPLE
    if url.find("://", at + 3) < 0:
        return None
    second = _SECOND_URL.search(url, at + 3)
    if second is None:
        return None
    # a comma may be part of a URL that has others in it: https://proxy.example/?urls=https://a,https://b
    separates = second[1].isspace() or second[1] == "|" or "://" not in url[at + 3 : second.start()]
    return UriFlaw.SEVERAL if separates else None


def _flaw_of_other(head: str, scheme: str) -> UriFlaw:
    start = unicodedata.normalize("NFKC", head[:_START])
    if start != head[:_START] and scheme_of(start) in _SCHEMES:
        return UriFlaw.FULL_WIDTH
    if is_base64_image(head) or _LONG_WORD.match(head):
        return UriFlaw.BASE64
    if flaw := next((flaw for flaw, form in _FORMS if form.match(head)), None):
        return flaw
    if _SCHEME.match(scheme):
        return UriFlaw.OTHER_SCHEME
    return UriFlaw.LOCAL if _PATH.search(head) else UriFlaw.NO_URI
