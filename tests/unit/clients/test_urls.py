"""URLs as bytes: what is requested for what a cell says."""

import pytest
from yarl import URL

from face_import.clients.transfer import FetchError
from face_import.clients.urls import redirected, target_of
from face_import.contract import Reason


@pytest.mark.parametrize(
    ("uri", "requested"),
    [
        ("http://h.example", "http://h.example/"),
        ("http://h.example/a%2fb/%41~?x=%2C&y=a/b:c+d==", "http://h.example/a%2fb/%41~?x=%2C&y=a/b:c+d=="),
        ("HTTP://H.example:8080/A", "http://H.example:8080/A"),
        ("http://h.example/a/../b/./c//d", "http://h.example/a/../b/./c//d"),
        ("http://h.example/张 三.jpg?q=a|b", "http://h.example/%E5%BC%A0%20%E4%B8%89.jpg?q=a%7Cb"),
        ("http://h.example/a%2fb c%41", "http://h.example/a%2fb%20c%41"),
        ("http://h.example/100%.jpg", "http://h.example/100%25.jpg"),
        ("http://h.example/%zz%4", "http://h.example/%25zz%254"),
        ("http://h.example/a.jpg#part", "http://h.example/a.jpg"),
        ("http://h.example/a#1.jpg", "http://h.example/a%231.jpg"),
        ("http://h.example/a.jpg#1.jpg", "http://h.example/a.jpg"),
        ("http://h.example/a?b#1.jpg", "http://h.example/a?b"),
        ("http://bücher.example/ä", "http://xn--bcher-kva.example/%C3%A4"),
        ("http://[::1]:8080/ä", "http://[::1]:8080/%C3%A4"),
        ("http://u:p@h.example/@me", "http://h.example/@me"),
    ],
)
def test_a_url_is_requested_as_it_stands(uri: str, requested: str) -> None:
    """What may not stand in a URL is escaped, nothing else is touched."""
    url = target_of(uri).url
    assert f"{url.origin()}{url.raw_path_qs}" == requested


@pytest.mark.parametrize(
    "uri", ["http://", "http:///a", "http://h:0/", "http://h\\@g/", "http://h.example/\ud800", "http://u@/"]
)
def test_what_leads_nowhere_is_refused(uri: str) -> None:
    """With one error, and its reason."""
    with pytest.raises(FetchError) as failed:
        target_of(uri)
    assert failed.value.reason is Reason.INVALID_URI


@pytest.mark.parametrize(
    ("location", "requested"),
    [
        ("b", "https://h.example:8443/d%2F/b"),
        ("../../../b", "https://h.example:8443/b"),
        ("..", "https://h.example:8443/"),
        ("", "https://h.example:8443/d%2F/a?q=%2f"),
        ("#x", "https://h.example:8443/d%2F/a?q=%2f"),
        ("?", "https://h.example:8443/d%2F/a"),
        ("/b?to=http://g.example/../x#y", "https://h.example:8443/b?to=http://g.example/../x"),
        ("//g.example", "https://g.example/"),
        ("https:/b", "https://h.example:8443/b"),
        ("HTTP://g.example/b", "http://g.example/b"),
        ("/b\udcfc", "https://h.example:8443/b%FC"),
    ],
)
def test_a_reference_is_resolved(location: str, requested: str) -> None:
    """As RFC 3986 says, section 5, without re-quoting."""
    url = redirected(URL("https://h.example:8443/d%2F/a?q=%2f", encoded=True), location).url
    assert f"{url.origin()}{url.raw_path_qs}" == requested


@pytest.mark.parametrize(
    "location", ["ftp://h/", "data:,x", "http:/b", "http://[", "http://\udcff/", "//", "http://h:99999"]
)
def test_a_reference_to_nowhere_is_refused(location: str) -> None:
    """Also to what is no web page's scheme."""
    with pytest.raises(FetchError, match="redirected to something") as failed:
        redirected(URL("https://h.example/a"), location)
    assert failed.value.reason is Reason.REDIRECTS
