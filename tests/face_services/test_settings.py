"""Settings from the environment."""

from pathlib import Path

import pytest

from face_services.errors import SettingsError
from face_services.settings import Settings


def test_defaults_are_the_documented_ones() -> None:
    """Without variables, and with empty ones, the defaults hold."""
    assert Settings.from_environment({"FACE_SERVICES_ENGINES": " "}) == Settings(
        Path("library.db"), 32 * 2**20, 50_000_000, 2, 128
    )


def test_reads_every_variable() -> None:
    """Each variable sets its own field; numbers may be written as 5e7."""
    env = {
        "FACE_SERVICES_DATABASE": "/data/x.db",
        "FACE_SERVICES_MAX_BODY": "1048576",
        "FACE_SERVICES_MAX_PIXELS": "2e7",
        "FACE_SERVICES_ENGINES": "3",
        "FACE_SERVICES_QUEUE": "0",
    }
    assert Settings.from_environment(env) == Settings(Path("/data/x.db"), 2**20, 20_000_000, 3, 0)


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5", "65", "nan", "1e999"])
def test_names_a_wrong_value_on_one_line(text: str) -> None:
    """The error has the variable, the bounds and the value."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"FACE_SERVICES_ENGINES": text})
    assert str(caught.value) == f"FACE_SERVICES_ENGINES must be a whole number from 1 to 64, not {text!r}"
