"""API keys: a file of hashes, with the groups each key has access to.

A key is 256 random bits, so a plain SHA-256 is enough: a slow hash would only protect guessable secrets.
"""

import fcntl
import hmac
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from face_import.errors import ConfigError
from face_import.private import write_private
from face_import.settings import Settings

_PREFIX = "fi_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
_SETTING = "FACE_IMPORT_API_KEYS_FILE"


class Key(BaseModel):
    """A key as stored.

    Attributes:
        sha256: hash of the key's text, in hexadecimal.
        groups: groups it has access to; None for all.
        created_at: ISO 8601, UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    groups: tuple[str, ...] | None
    created_at: str

    @property
    def id(self) -> str:
        """Identifies this key, even if another is later created under the same name; reveals nothing of it."""
        return self.sha256[:16]

    def may_see(self, group: str) -> bool:
        """Whether it has access to this group."""
        return self.groups is None or group in self.groups


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: dict[str, Key] = {}


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The key file."""

    path: Path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The configured file.

        Raises:
            ConfigError: none is configured.
        """
        if settings.api_keys_file is None:
            raise ConfigError(f"{_SETTING}: not set; it names the file for the API keys")
        return cls(settings.api_keys_file.expanduser().absolute())

    def read(self) -> Mapping[str, Key]:
        """All keys by name; none if there is no file.

        Raises:
            ConfigError: it cannot be read or is damaged.
        """
        try:
            return _File.model_validate_json(self.path.read_bytes()).keys
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ConfigError(f"{_SETTING}: cannot read {self.path}: {error.strerror}") from None
        except ValidationError:
            raise ConfigError(
                f"{_SETTING}: {self.path} is not a valid key file; see docs/explanation/security.md"
            ) from None

    def add(self, name: str, groups: tuple[str, ...] | None) -> str:
        """Create a key and return its text, which is not stored.

        Raises:
            ConfigError: the name is taken or invalid.
        """
        if _NAME.fullmatch(name) is None:
            raise ConfigError(f"{name!r} is not a valid key name: use 1-64 letters, digits and _ . @ -")
        text = _PREFIX + secrets.token_urlsafe(32)
        with self._changing() as keys:
            if name in keys:
                raise ConfigError(f"key {name!r} already exists; revoke it first, or choose another name")
            now = datetime.now(UTC).isoformat(timespec="seconds")
            keys[name] = Key(sha256=_hash(text), groups=groups, created_at=now)
        return text

    def revoke(self, name: str) -> None:
        """Remove a key.

        Raises:
            ConfigError: there is no such key.
        """
        with self._changing() as keys:
            if keys.pop(name, None) is None:
                raise ConfigError(f"there is no key {name!r}")

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """Yield the keys and write them back if the block succeeds; one process at a time."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.path.with_name(f"{self.path.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            keys = dict(self.read())
            yield keys
            write_private(self.path, _File(keys=keys).model_dump_json(indent=1) + "\n")


class KeyRing:
    """Checks keys for the API; it rereads a changed file on every request, so a revocation takes effect at once."""

    def __init__(self, file: KeyFile) -> None:
        self._file = file
        self._seen: tuple[int, ...] | None = None
        self._keys: Mapping[str, Key] = {}

    def find(self, text: str) -> tuple[str, Key] | None:
        """Name and key for a key's text, or None, in constant time.

        Raises:
            ConfigError: the file cannot be read.
        """
        self._refresh()
        wanted, found = _hash(text), None
        for name, key in self._keys.items():
            if hmac.compare_digest(key.sha256, wanted):
                found = name, key
        return found

    def by_id(self, key_id: str) -> tuple[str, Key] | None:
        """Name and key for a key's id, or None if it was revoked.

        Raises:
            ConfigError: the file cannot be read.
        """
        self._refresh()
        return next(((name, key) for name, key in self._keys.items() if key.id == key_id), None)

    def _refresh(self) -> None:
        seen: tuple[int, ...] = ()
        with suppress(OSError):
            status = self._file.path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
        if seen != self._seen:
            self._keys = self._file.read()
            self._seen = seen


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
