"""Paths of the embedded stack, and the id of its processes."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from face_import.errors import ConfigError

STACK_VARIABLE = "FACE_IMPORT_STACK"

_LONGEST_SOCKET_PATH = 90
"""Linux allows 107 bytes, and supervisord first binds a longer temporary name."""


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
    def airflow_home(self) -> Path:
        """AIRFLOW_HOME: Airflow's database, its configuration file and its logs."""
        return self.home / "airflow"

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
        """Supervisord's control socket; in the temporary directory if the home's path is too long."""
        inside = self.run / "supervisor.sock"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
            return inside
        return Path(tempfile.gettempdir()) / f"face-import-{os.getuid()}" / f"{self.stack_id}.sock"

    def log_of(self, program: str) -> Path:
        """Log file of one program of the stack."""
        return self.logs / f"{program}.log"

    def create(self) -> None:
        """Create the directories, accessible to their owner only.

        Raises:
            ConfigError: the home is not writable, or the socket's directory belongs to another user.
        """
        for directory in (
            self.home,
            self.airflow_home,
            self.secrets,
            self.logs,
            self.run,
            self.socket.parent,
        ):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise ConfigError(f"FACE_IMPORT_HOME: cannot create {directory}: {error.strerror}") from None
        status = self.socket.parent.lstat()
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
            raise ConfigError(f"{self.socket.parent} is writable by other users: remove it")
