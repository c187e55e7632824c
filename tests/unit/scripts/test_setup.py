"""What the uv of `make setup` is told of the machine."""

from pathlib import Path

import pytest

from scripts import setup

INDEX = "https://mirror.example/simple"


@pytest.mark.parametrize("by", ["variable", "file"])
def test_uv_asks_the_index_that_pip_asks(by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that is configured for pip, unless uv is told of one itself."""
    for name in ("UV_DEFAULT_INDEX", "SSL_CERT_FILE", "PIP_INDEX_URL", "PIP_CERT"):
        monkeypatch.delenv(name, raising=False)
    configuration = tmp_path / "pip.conf"
    configuration.write_text(f"[global]\nindex-url = {INDEX}\ncert = /certificates\n" if by == "file" else "")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(configuration))
    if by == "variable":
        monkeypatch.setenv("PIP_INDEX_URL", INDEX)
        monkeypatch.setenv("PIP_CERT", "/certificates")
    assert setup.settings_of_pip() == {"UV_DEFAULT_INDEX": INDEX, "SSL_CERT_FILE": "/certificates"}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://another.example/simple")
    assert setup.settings_of_pip() == {"SSL_CERT_FILE": "/certificates"}
