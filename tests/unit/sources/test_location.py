"""Where sources may be: inside the prefixes, and not a byte outside."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import fsspec
import pytest

from face_import.errors import SourceError
from face_import.settings import Settings
from face_import.sources import open_source


@contextmanager
def http(url: str) -> Iterator[BinaryIO]:
    """Stands for the safe fetcher."""
    yield io.BytesIO(url.encode())


@contextmanager
def no_http(url: str) -> Iterator[BinaryIO]:
    """A fetcher that must not be used."""
    raise AssertionError(url)
    yield


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Prefixes of a local folder and a bucket, one without its slash."""
    (tmp_path / "data" / "sub dir").mkdir(parents=True)
    (tmp_path / "data-secret").mkdir()
    for name in ("data/a.csv", "data/sub dir/女.csv", "data/100%.csv", "data-secret/s.csv", "s.csv"):
        (tmp_path / name).write_text(name)
    (tmp_path / "data" / "inside.csv").symlink_to(tmp_path / "data" / "a.csv")
    (tmp_path / "data" / "out.csv").symlink_to(tmp_path / "s.csv")
    (tmp_path / "data" / "out").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "data" / "pipe")
    fsspec.filesystem("memory").pipe({"/bucket/in/x.csv": b"x", "/bucket/s.csv": b"s", "/bucket/input/s.csv": b"s"})
    return Settings(source_prefixes=(f"file://{tmp_path}/data", "memory://bucket/in/"))


@pytest.mark.parametrize(
    ("url", "content"),
    [
        pytest.param("file://{tmp}/data/a.csv", "data/a.csv", id="file"),
        pytest.param("FILE://{tmp}/data/a.csv", "data/a.csv", id="scheme in capitals"),
        pytest.param("file://{tmp}/data/sub%20dir/%E5%A5%B3.csv", "data/sub dir/女.csv", id="encoded"),
        pytest.param("file://{tmp}/data/sub%20dir/女.csv", "data/sub dir/女.csv", id="half encoded"),
        pytest.param("file://{tmp}/data/inside.csv", "data/a.csv", id="link inside"),
        pytest.param(" memory://bucket/in/x.csv\n", "x", id="bucket, white space around"),
    ],
)
def test_what_lies_under_a_prefix_is_opened(settings: Settings, tmp_path: Path, url: str, content: str) -> None:
    """A file under a prefix is read."""
    with open_source(url.format(tmp=tmp_path), settings, no_http) as stream:
        assert stream.read().decode() == content


@pytest.mark.parametrize("url", ["http://host/a.csv?x=1", "HTTPS://host/a.csv"])
def test_web_addresses_go_through_the_fetcher(settings: Settings, url: str) -> None:
    """Whatever is http(s) is the safe fetcher's to judge."""
    with open_source(url, settings, http) as stream:
        assert stream.read().decode() == url


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("", id="nothing"),
        pytest.param("{tmp}/data/a.csv", id="path without a scheme"),
        pytest.param("local://{tmp}/data/a.csv", id="the same place by another scheme"),
        pytest.param("file://host{tmp}/data/a.csv", id="host"),
        pytest.param("file://{tmp}/s.csv", id="outside"),
        pytest.param("file://{tmp}/data-secret/s.csv", id="neighbour with the same beginning"),
        pytest.param("file://{tmp}/data", id="the prefix itself"),
        pytest.param("file://{tmp}/data/", id="the prefix with its slash"),
        pytest.param("file://{tmp}/data/../s.csv", id="parent"),
        pytest.param("file://{tmp}/data/./a.csv", id="dot"),
        pytest.param("file://{tmp}/data/%2e%2e/s.csv", id="encoded parent"),
        pytest.param("file://{tmp}/data/%2E./s.csv", id="half encoded parent"),
        pytest.param("file://{tmp}/data/..%2fs.csv", id="encoded slash"),
        pytest.param("file://{tmp}/data/%252e%252e/s.csv", id="parent encoded twice"),
        pytest.param("file://{tmp}/data/..\\s.csv", id="backslash"),
        pytest.param("file://{tmp}/data/a.csv%00.png", id="zero byte"),
        pytest.param("file://{tmp}/data/a.csv\n/../../s.csv", id="line end inside"),
        pytest.param("file://{tmp}/data/a.csv?versionId=1", id="query"),
        pytest.param("file://{tmp}/data/a.csv#x", id="fragment"),
        pytest.param("file://{tmp}/data/out.csv", id="link to a file outside"),
        pytest.param("file://{tmp}/data/out/s.csv", id="link to a folder outside"),
        pytest.param("file://{tmp}/data/sub%20dir", id="folder"),
        pytest.param("file://{tmp}/data/pipe", id="pipe"),
        pytest.param("file://{tmp}/data/none.csv", id="no such file"),
        pytest.param("file://{tmp}/data/a.csv/x", id="below a file"),
        pytest.param("simplecache::file://{tmp}/data/a.csv", id="chained in front"),
        pytest.param("memory://bucket/in/x.csv::file://{tmp}/s.csv", id="chained behind"),
        pytest.param("memory://bucket/s.csv", id="outside in the bucket"),
        pytest.param("memory://bucket/in/../s.csv", id="parent in the bucket"),
        pytest.param("memory://bucket/input/s.csv", id="neighbour in the bucket"),
        pytest.param("memory://other/in/x.csv", id="another bucket"),
        pytest.param("memory://user@bucket/in/x.csv", id="credentials"),
        pytest.param("memory://bucket/in/none.csv", id="no such object"),
        pytest.param("ftp://host/a.csv", id="another scheme"),
        pytest.param("data:text/csv,a", id="data"),
        pytest.param("http+unix://bucket/in/x.csv", id="nearly http"),
        pytest.param("file://[bad/a.csv", id="no url"),
    ],
)
def test_everything_else_is_refused(settings: Settings, tmp_path: Path, url: str) -> None:
    """No trick reads a byte outside the prefixes, nor anything that is not a file."""
    with pytest.raises(SourceError), open_source(url.format(tmp=tmp_path), settings, no_http):
        pass


def test_a_refusal_tells_what_is_allowed(settings: Settings) -> None:
    """Whoever is refused learns where a source may be."""
    with pytest.raises(SourceError, match=r"https:// URL or one under file://.* or one under memory://bucket/in/"):
        open_source("s3://bucket/in/x.csv", settings, no_http).__enter__()


@pytest.mark.parametrize(
    "url",
    [
        "s3://s3cret:s3cret@bucket/in/x.csv?versionId=s3cret#s3cret",
        "file://{tmp}/data/none.csv?s3cret",
        "simplecache::ftp://user:s3cret@host/x.csv?sig=s3cret",
        "ftp:user:s3cret@host/x.csv?sig=s3cret",
        "ftp://user:s3cret@[bad/x.csv?sig=s3cret",
        "ftp://user:s3cret@\u2100/x.csv",
    ],
)
def test_a_refusal_has_no_secret(settings: Settings, tmp_path: Path, url: str) -> None:
    """The text becomes the task's last error, and stands in Airflow's log."""
    with pytest.raises(SourceError) as refusal, open_source(url.format(tmp=tmp_path), settings, no_http):
        pass
    assert "s3cret" not in str(refusal.value)


def test_without_prefixes_only_the_web_is_open(tmp_path: Path) -> None:
    """By default no local file is a source."""
    (tmp_path / "a.csv").write_text("a")
    with (
        pytest.raises(SourceError),
        open_source((tmp_path / "a.csv").as_uri(), Settings(source_prefixes=()), no_http),
    ):
        pass
