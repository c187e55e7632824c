"""Secrets of the embedded stack: created once, in files that only their owner can read."""

import base64
import json
import secrets
from pathlib import Path

from face_import.private import write_once, write_private
from face_import.settings import Settings
from face_import.stack.environment import ADMIN_USER
from face_import.stack.layout import Layout

_AIRFLOW_CFG = """\
# Secrets of this stack's Airflow, created on its first start. Its other settings come from the environment, which
# overrides this file; settings that `face-import up` does not set may be added here.
[core]
fernet_key = {fernet}

[api]
secret_key = {session}

[api_auth]
jwt_secret = {jwt}
"""


def create_credentials(settings: Settings, layout: Layout) -> None:
    """Create what is missing: Airflow's keys and the passwords of its two users.

    People log in as `admin`. The shim and the keeper use `settings.airflow_user` with the role `op`, the lowest one
    that may trigger, clear and delete runs and change pools.

    Args:
        settings: name the second user and, optionally, its password file.
        layout: of a home whose directories exist.

    Raises:
        ConfigError: the password file named in the settings cannot be read.
    """
    keys = {"fernet": _fernet_key(), "session": secrets.token_urlsafe(32), "jwt": secrets.token_urlsafe(64)}
    write_once(layout.airflow_home / "airflow.cfg", _AIRFLOW_CFG.format(**keys))
    write_once(admin_password_file(layout), secrets.token_urlsafe(18) + "\n")
    write_once(layout.secrets / "airflow_password", secrets.token_urlsafe(32) + "\n")
    passwords = {
        ADMIN_USER: admin_password_file(layout).read_text().strip(),
        settings.airflow_user: settings.airflow_password.get_secret_value(),
    }
    write_private(layout.secrets / "airflow_users.json", json.dumps(passwords) + "\n")


def admin_password_file(layout: Layout) -> Path:
    """File with the password for Airflow's web interface."""
    return layout.secrets / "airflow_admin_password"


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
