"""Regular expressions over text from outside take time in proportion to its length."""

import re
from collections.abc import Callable
from contextlib import suppress
from time import process_time

import pytest
from yarl import URL

from api_shim import log_csv
from face_import import keys
from face_import.clients import chain, ratelimit, services, urls, validators
from face_import.contract import ENTRY_NAME_PATTERN, GROUP_NAME_PATTERN
from face_import.domain import decoding, identity
from face_import.domain.data_uri import decode_data_uri
from face_import.domain.formats import refusal
from face_import.domain.limits import check_group_name
from face_import.domain.uri import cleaned, looks_like_uri, redact
from face_import.domain.uri_form import flaw_of
from face_import.errors import InvalidRequest, RowError
from face_import.orchestration.dag import params
from face_import.settings import Settings
from face_import.sources import location, storage
from face_services import decode, store

ROUNDS = 5
Work = tuple[Callable[[str], object], Callable[[int], str]]
"""What is done to a text, and a text of so many parts that keeps a backtracking matcher busy."""


def scans(text: str) -> int:
    """How many scans of a JPEG bytes look like."""
    return sum(1 for _ in decoding._SCAN.finditer(text.encode("latin-1")))


def source(text: str) -> object:
    """Airflow's check of a run's source."""
    return re.search(params.SOURCE_PATTERN, text)


def base64(text: str) -> object:
    """A data URI's payload, which nearly always is refused."""
    with suppress(RowError):
        return decode_data_uri(f"data:;base64,{text}", 2**24)
    return None


def redirect(text: str) -> object:
    """Where a Location leads."""
    with suppress(RowError):
        return urls.redirected(URL("http://h/"), text)
    return None


WORK: dict[str, Work] = {
    "redact, colons": (redact, lambda n: "http://h/" + ":" * n),
    "redact, colons and at signs": (redact, lambda n: "http://h/" + ":" * n + "@" * n),
    "redact, letters": (redact, lambda n: "http://h/" + "a" * n),
    "redact, users": (redact, lambda n: "http:" + "a:b@" * n),
    "redact, slashes": (redact, lambda n: "http://h/" + "a:/" * n),
    "base64, padding": (base64, lambda n: "=" * n),
    "base64, white space": (base64, lambda n: " \n" * n + "#"),
    "base64, groups": (base64, lambda n: "aG k=" * n),
    "form, spaces": (flaw_of, lambda n: "http://h/" + " " * n + "://"),
    "form, separators": (flaw_of, lambda n: "http://h/" + ", http:" * n + "://"),
    "form, dots": (flaw_of, lambda n: "a." * n),
    "form, brackets": (flaw_of, lambda n: "[" * n),
    "cleaned": (cleaned, lambda n: "\u200b" * n + "a" + " " * n),
    "uri": (looks_like_uri, lambda n: "a" * n),
    "verbatim, letters": (urls._VERBATIM.fullmatch, lambda n: "a" * n + "\u00e9"),
    "verbatim, escapes": (urls._VERBATIM.fullmatch, lambda n: "%41" * n + "%"),
    "redirect, dots": (redirect, lambda n: "a/" * n + "../" * n),
    "redirect, escapes": (redirect, lambda n: "/" + "%" * n),
    "redirect, a scheme": (redirect, lambda n: "a" * n + "://"),
    "cookie": (lambda text: chain._EPOCH.sub("", text), lambda n: "expires= " * n),
    "not an image, tags": (lambda text: refusal(text.encode()), lambda n: "<" * n + "svg"),
    "not an image, pages": (lambda text: refusal(text.encode()), lambda n: "<svg <htm" * n),
    "validator": (validators._STRONG.fullmatch, lambda n: '"' + "a" * n),
    "rate limit, commas": (ratelimit._items, lambda n: "," * n),
    "rate limit, parameters": (ratelimit._items, lambda n: ";q=1" * n),
    "rate limit, digits": (ratelimit._number, lambda n: " " * n + "9" * n),
    "absent": (services._ABSENT.search, lambda n: "not foun no suc " * n),
    "location": (location._NEVER_IN_A_URL.search, lambda n: "a:" * n),
    "location, escapes": (location._ENCODED_TRICK.search, lambda n: "%2" * n),
    "source, a scheme": (source, lambda n: "a" * n),
    "source, schemes": (source, lambda n: "a://" * n + " "),
    "task id": (identity._TASK_ID.fullmatch, lambda n: "a" * n),
    "folder": (storage._TASK_ID.fullmatch, lambda n: "a" * n),
    "key": (keys._NAME.fullmatch, lambda n: "a" * n),
    "group": (lambda text: re.fullmatch(GROUP_NAME_PATTERN, text), lambda n: "a" * n),
    "entry": (lambda text: re.fullmatch(ENTRY_NAME_PATTERN, text), lambda n: "a" * n),
    "group, services": (store.GROUP_NAME.fullmatch, lambda n: "a" * n),
    "data uri, services": (decode._DATA_URI.match, lambda n: "data:" + ";base64" * n),
    "csv, lines": (log_csv._ODD_STARTS[0].search, lambda n: "\na" * n),
    "csv, commas": (log_csv._ODD_STARTS[1].search, lambda n: ",a" * n),
    "csv, harmless lines": (log_csv._HARMLESS, lambda n: "a\n" * n + ";"),
    "csv, a harmless line": (log_csv._HARMLESS, lambda n: "a" * n),
    "jpeg": (scans, lambda n: "\xff\xda\x00\x08" * n),
}


def seconds(work: Callable[[str], object], text: str) -> float:
    """The least of some rounds: what disturbs one only adds."""
    taken = []
    for _ in range(ROUNDS):
        began = process_time()
        work(text)
        taken.append(process_time() - began)
    return min(taken)


@pytest.mark.parametrize("name", WORK)
def test_work_grows_as_the_text_does(name: str) -> None:
    """Eight times the text is some eight times the work; were it the square, it would be 64, the cube 512."""
    work, text = WORK[name]
    parts = 250
    while seconds(work, text(parts)) < 0.0005 and parts < 16_000:  # more is the work of the memory
        parts *= 4
    # Where the memory for a text comes from somewhere else there is a step, once: not in the next range of sizes too.
    sizes = (parts, 8 * parts)
    assert any(seconds(work, text(8 * size)) < 32 * max(seconds(work, text(size)), 0.0005) for size in sizes)


def test_an_operators_pattern_meets_short_names_only() -> None:
    """The pattern for names of groups is a setting, so only the length of names can bound its work."""
    anything = Settings(group_name_pattern=".*")
    check_group_name("a" * 250, anything)
    with pytest.raises(InvalidRequest, match="is not a group name"):
        check_group_name("a" * 251, anything)
