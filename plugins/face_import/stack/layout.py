"""Where the embedded stack keeps its state, and the name its processes go by."""

import hashlib
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from face_import.errors import ConfigError

STACK_VARIABLE = "FACE_IMPORT_STACK"

_LONGEST_SOCKET_PATH = 90
"""Linux allows 107 bytes, and supervisord binds a longer temporary name first."""


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
        """12 hexadecimal digits that only this home has."""
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
        """Passwords, one a file."""
        return self.home / "secrets"

    @property
    def logs(self) -> Path:
        """What the processes print, one file each."""
        return self.home / "logs"

    @property
    def run(self) -> Path:
        """Files that matter only while the stack runs."""
        return self.home / "run"

    @property
    def lock(self) -> Path:
        """Held by the one command that starts or ends this stack."""
        return self.run / "lock"

    @property
    def socket(self) -> Path:
        """Supervisord's control socket; outside a home whose path is too long for one."""
        inside = self.run / "supervisor.sock"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
            return inside
        return Path(tempfile.gettempdir()) / f"face-import-{os.getuid()}" / f"{self.stack_id}.sock"

    def log_of(self, program: str) -> Path:
        """Log file of one program of the stack."""
        return self.logs / f"{program}.log"

    def create(self) -> None:
        """Make the directories, each for its owner only.

        Raises:
            ConfigError: the home cannot be written, or the socket's directory belongs to somebody else.
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
                raise ConfigError(f"FACE_IMPORT_HOME: cannot make {directory}: {error.strerror}") from None
        status = self.socket.parent.lstat()
        if status.st_uid != os.getuid() or stat.S_IMODE(status.st_mode) & 0o022:
            raise ConfigError(f"{self.socket.parent} can be written by somebody else: remove it")
