"""Secrets are made once and stay private."""

import json
import stat
from configparser import RawConfigParser
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from face_import.errors import ConfigError
from face_import.settings import Settings
from face_import.stack.layout import Layout, create_credentials
from tests.unit.stack.conftest import make_settings


def test_every_secret_is_readable_by_its_owner_only(settings: Settings, layout: Layout) -> None:
    """Mode 0600 for all, and restored where somebody loosened it."""
    create_credentials(settings, layout)
    files = [*layout.secrets.iterdir(), layout.airflow_home / "airflow.cfg"]
    files[0].chmod(0o644)
    create_credentials(settings, layout)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_second_start_keeps_what_the_first_made(settings: Settings, layout: Layout) -> None:
    """Keys and passwords stay, or sessions and stored connections would be lost."""
    create_credentials(settings, layout)
    before = {file: file.read_text() for file in layout.home.rglob("*") if file.is_file()}
    create_credentials(settings, layout)
    assert before == {file: file.read_text() for file in layout.home.rglob("*") if file.is_file()}


def test_the_users_passwords_are_those_the_processes_read(settings: Settings, layout: Layout) -> None:
    """Airflow's file of users agrees with what `settings.airflow_password` gives to the shim and the keeper."""
    create_credentials(settings, layout)
    users = json.loads((layout.secrets / "airflow_users.json").read_text())
    assert set(users) == {"admin", "face_import"}
    assert users["face_import"] == settings.airflow_password.get_secret_value()


def test_callbacks_can_be_signed_from_the_first_start_on(settings: Settings, layout: Layout) -> None:
    """The secret is one that the standard's library takes, and each home has its own."""
    create_credentials(settings, layout)
    (secret,) = settings.callback_secrets
    assert Webhook(secret.get_secret_value()).sign("id", datetime.now(UTC), "{}").startswith("v1,")
    (layout.secrets / "callback_secret").unlink()
    create_credentials(settings, layout)
    assert settings.callback_secrets != (secret,)


def test_all_three_keys_of_airflow_are_made(settings: Settings, layout: Layout) -> None:
    """A missing one would be made up by each process for itself, and none would accept another's tokens."""
    create_credentials(settings, layout)
    config = RawConfigParser()
    config.read(layout.airflow_home / "airflow.cfg")
    keys = [
        config["core"]["fernet_key"],
        config["api"]["secret_key"],
        config["api_auth"]["jwt_secret"],
    ]
    assert all(len(key) >= 32 for key in keys)
    assert len(set(keys)) == 3


def test_a_password_file_that_is_not_there_is_said_in_a_line(layout: Layout) -> None:
    """The operator's own password file must exist."""
    settings = make_settings(layout.home, airflow_password_file=layout.home / "nowhere")
    with pytest.raises(ConfigError, match=r"^FACE_IMPORT_AIRFLOW_PASSWORD_FILE: cannot read .*nowhere"):
        create_credentials(settings, layout)
