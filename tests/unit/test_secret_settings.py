"""Settings that may contain secrets."""

import pytest

from face_import.errors import ConfigError
from face_import.settings import get_settings


def test_an_invalid_proxy_is_refused_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line goes to a process log."""
    monkeypatch.setenv("FACE_IMPORT_FETCH_PROXY", "socks5://us:s3cret@proxy.example:1080")
    get_settings.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"FACE_IMPORT_FETCH_PROXY: .*must be an http URL") as failed:
            get_settings()
    finally:
        get_settings.cache_clear()
    assert "s3cret" not in str(failed.value)
