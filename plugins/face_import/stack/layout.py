"""What is in a home: folders, files, and the generated passwords and keys."""

import base64
import hashlib
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from face_import.errors import ConfigError
from face_import.private import write_once, write_private
from face_import.settings import Settings

STACK_VARIABLE = "FACE_IMPORT_STACK"
ADMIN_USER = "admin"
SUPERVISORD = "face_import.stack.supervisord"
"""The module that a stack's supervisor runs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths under one home.

    Attributes:
        home: `FACE_IMPORT_HOME`, absolute, symbolic links resolved.
    """

    home: Path

    @classmethod
    def of(cls, home: Path) -> "Layout":
        """The layout of `home`, which need not exist yet."""
        return cls(home.resolve())

    @property
    def stack_id(self) -> str:
        """12 hexadecimal digits, unique to this home."""
        return hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]

    @property
    def library(self) -> Path:
        """The embedded face library's groups and faces."""
        return self.home / "library.db"

    @property
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME: Airflow's database, its configuration file and its logs."""
        return self.home / "airflow"

    @property
    def dag_processor_logs(self) -> Path:
        """What parsing the DAG files has logged: a folder for each day."""
        return self.airflow_home / "logs" / "dag_processor"

    @property
    def airflow_database(self) -> Path:
        """Airflow's own SQLite database."""
        return self.airflow_home / "airflow.db"

    @property
    def secrets(self) -> Path:
        """Passwords, one per file."""
        return self.home / "secrets"

    @property
    def logs(self) -> Path:
        """Output of the processes, one file each."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Files that matter only while the stack runs."""
        return self.home / "run"

    @property
    def lock(self) -> Path:
        """Lock file of the command that starts or stops this stack."""
        return self.run / "lock"

    @property
    def socket(self) -> Path:
        """Supervisord's control socket; its path may be longer than Linux allows an address to be (`supervisor`)."""
        return self.run / "supervisor.sock"

    @property
    def temporary(self) -> Path:
        """Temporary files of the processes."""
        return self.home / "tmp"

    def log_of(self, program: str) -> Path:
        """Log file of one program of the stack."""
        return self.logs / f"{program}.log"

    def create(self) -> None:
        """Create the directories, accessible to their owner only.

        Raises:
            ConfigError: the home is not writable.
        """
        for directory in (
            self.home,
            self.airflow_home,
            self.secrets,
            self.logs,
            self.run,
            self.temporary,
        ):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"FACE_IMPORT_HOME: cannot create {directory}: {error.strerror}") from None


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
    """Create what is missing: Airflow's keys, its two users' passwords, the keys of sessions and of callbacks.

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
    write_once(layout.secrets / "session_key", secrets.token_urlsafe(32) + "\n")  # the API's; it may not write here
    write_once(layout.secrets / "callback_secret", f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}\n")
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
