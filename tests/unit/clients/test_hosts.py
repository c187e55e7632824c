"""The operator's file of request headers."""

from pathlib import Path

import pytest
from yarl import URL

from face_import.clients.hosts import HostHeaders
from face_import.errors import ConfigError


def headers(tmp_path: Path, text: str, mode: int = 0o600) -> HostHeaders:
    """Read a file with this text."""
    file = tmp_path / "headers.yaml"
    file.write_text(text)
    file.chmod(mode)
    return HostHeaders(file)


def test_the_more_specific_pattern_wins(tmp_path: Path) -> None:
    """Scheme and port have to match; a pattern of subdomains does not match the domain."""
    text = """
    https://*: {User-Agent: all, Referer: all}
    https://*.example.com: {user-agent: some}
    https://a.example.com: {Authorization: Bearer t}
    http://a.example.com:8080: {X-Plain: "1"}
    """
    of = headers(tmp_path, text).of
    assert of(URL("https://a.example.com/x")) == {
        "User-Agent": "some",
        "Referer": "all",
        "Authorization": "Bearer t",
    }
    assert of(URL("https://example.com/")) == {"User-Agent": "all", "Referer": "all"}
    assert of(URL("https://aexample.com/"))["User-Agent"] == "all"
    assert of(URL("https://a.example.com:8443/")) == of(URL("http://a.example.com/")) == {}
    assert of(URL("http://a.example.com:8080/")) == {"X-Plain": "1"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not YAML"),
        ("- a", "must have an object of headers for each origin"),
        ("images.example.com: {A: b}", "is not an origin such as"),
        ("https://h/path: {A: b}", "is not an origin such as"),
        ("https://h:99999: {A: b}", "is not an origin such as"),
        ("https://h: x", "must have an object of headers"),
        ("https://h: {Host: x}", "'Host' is not a header that can be set"),
        ("https://h: {'A b': x}", "'A b' is not a header that can be set"),
        ("https://h: {A: 1}", "the value of A must be a text in one line"),
        ('https://h: {A: "b\\r\\nC: d"}', "the value of A must be a text in one line"),
        ("https://*: {authorization: x}", "must name its hosts"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    """In one line that names the setting, the file and the place, without a value."""
    with pytest.raises(ConfigError) as failed:
        headers(tmp_path, text)
    message = str(failed.value)
    assert message.startswith(f"FACE_IMPORT_FETCH_HEADERS_FILE: {tmp_path}/headers.yaml: ")
    assert words in message
    assert "\n" not in message


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """It may contain secrets."""
    with pytest.raises(ConfigError, match="chmod 600"):
        headers(tmp_path, "https://h: {A: b}", 0o640)
    with pytest.raises(ConfigError, match="cannot read it: No such file"):
        HostHeaders(tmp_path / "missing.yaml")
