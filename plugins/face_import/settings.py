"""One settings object, read from `FACE_IMPORT_*` environment variables (docs/reference/settings.md)."""

import ipaddress
import re
from base64 import b64decode
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from face_import.contract import GROUP_NAME_PATTERN, MAX_CONCURRENCY, MAX_ROW
from face_import.errors import ConfigError

CHECKOUT = Path(__file__).resolve().parents[2]
"""Where dags/, config/ and plugins/ are; where the package is installed from a wheel there are none."""
_ROOT = CHECKOUT if (CHECKOUT / "dags").is_dir() else Path("~")

_PUBLIC_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat = Literal["text", "json"]
PoseAngle = Literal["pitch", "yaw", "roll"]


class Settings(BaseSettings):
    """All settings, with defaults for a single machine.

    Times are in seconds, sizes in bytes.
    """

    model_config = SettingsConfigDict(env_prefix="FACE_IMPORT_", frozen=True, extra="ignore")

    # locations
    home: Path = _ROOT / ".face_import"
    bind: str = "127.0.0.1"
    port: Port = 8000
    airflow_port: Port = 8080
    services_port: Port = 8100
    database_url: str = ""
    airflow_database_url: str = ""
    broker_url: str = ""
    storage_url: str = ""
    airflow_url: str = ""
    airflow_public_url: str = ""
    airflow_user: str = "face_import"
    airflow_password_file: Path | None = None
    info_url: str = ""
    library_url: str = ""
    public_url: str = ""
    callback_secret_file: Path | None = None
    api_keys_file: Path | None = None
    key_requests_per_minute: Annotated[int, Field(ge=1)] = 6000
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    start_timeout_s: Seconds = 120
    log_level: LogLevel = "INFO"
    log_format: LogFormat = "text"
    heartbeat_file: Path | None = None

    # server of the commands, if not this home's stack
    url: str = ""
    api_key: SecretStr = SecretStr("")

    # how imports run
    max_threads: Annotated[int, Field(ge=1, le=MAX_CONCURRENCY)] = 200
    rows_per_process: Annotated[int, Field(ge=1, le=200)] = 8
    executor_slots: Annotated[int, Field(ge=1, le=512)] = 8
    workers: Annotated[int, Field(ge=0, le=64)] = 2
    worker_lost_s: Annotated[int, Field(ge=15)] = 60
    group_name_pattern: str = GROUP_NAME_PATTERN
    group_capacity: Annotated[int, Field(ge=1)] = 10_000_000
    pose_order: Annotated[tuple[PoseAngle, PoseAngle, PoseAngle], NoDecode] = ("pitch", "yaw", "roll")
    outage_patience_s: Seconds = 60
    service_timeout_s: Seconds = 30
    retention_days: Annotated[int, Field(ge=0, le=36_500)] = 0
    min_free_bytes: Annotated[int, Field(ge=0)] | None = None

    # sources
    recurring_file: Path | None = None
    source_timeout_s: Seconds = 3600
    source_prefixes: Annotated[tuple[str, ...], NoDecode] = ()
    max_source_bytes: Annotated[int, Field(ge=1)] = 64 * 2**30
    max_rows: Annotated[int, Field(ge=1, le=MAX_ROW)] = 100_000_000
    max_cell_bytes: Annotated[int, Field(ge=1024)] = 32 * 2**20

    # fetching images
    fetch_allow: Annotated[tuple[str, ...], NoDecode] = ()
    fetch_timeout_s: Seconds = 30
    fetch_connect_timeout_s: Seconds = 5
    fetch_patience_s: Seconds = 600
    host_give_up_s: Seconds = 14_400
    fetch_per_host: Annotated[int, Field(ge=1)] = 64
    fetch_max_redirects: Annotated[int, Field(ge=0, le=100)] = 20
    fetch_headers_file: Path | None = None
    fetch_proxy: SecretStr = SecretStr("")
    ca_file: Path | None = None
    max_image_bytes: Annotated[int, Field(ge=1)] = 20 * 2**20
    max_bytes_in_flight: Annotated[int, Field(ge=1)] = 256 * 2**20
    max_image_pixels: Annotated[int, Field(ge=1024, le=2**30)] = 50_000_000

    # leases (design decision 3); shortened only in tests
    lease_renew_s: Seconds = 0.5
    lease_ttl_s: Seconds = 2.0
    lease_start_window_s: Seconds = 1.0
    stop_grace_s: Seconds = 4.0

    @field_validator("source_prefixes", "fetch_allow", "pose_order", "allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("log_format", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @field_validator("fetch_allow", "trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network)
        return value

    @field_validator("pose_order")
    @classmethod
    def _permutation(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if set(value) != {"pitch", "yaw", "roll"}:
            raise ValueError("must list pitch, yaw and roll once each")
        return value

    @field_validator("info_url", "library_url", "airflow_url", "airflow_public_url", "public_url")
    @classmethod
    def _http(cls, value: str) -> str:
        url = urlsplit(value)
        if value and not (url.scheme in {"http", "https"} and url.hostname and url.port != 0):
            raise ValueError("must be an http or https URL with a host")
        return value

    @field_validator("airflow_public_url", "public_url")
    @classmethod
    def _plain_path(cls, value: str) -> str:
        url = urlsplit(value)
        if not _PUBLIC_PATH.fullmatch(url.path) or url.query or url.fragment:
            raise ValueError("may have a path of letters, digits and . _ ~ -, and nothing after it")
        return value

    @field_validator("fetch_proxy")
    @classmethod
    def _proxy(cls, value: SecretStr) -> SecretStr:
        url = urlsplit(value.get_secret_value())
        if value and not (url.scheme == "http" and url.hostname and url.port != 0):
            raise ValueError("must be an http URL with a host, such as http://proxy.example.com:3128")
        return value

    @field_validator(
        *("home", "airflow_password_file", "api_keys_file", "ca_file"),
        *("fetch_headers_file", "recurring_file", "callback_secret_file", "heartbeat_file"),
    )
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        """The stack's processes have another working directory; `~` needs a HOME, which need not exist."""
        return value and value.expanduser().absolute()

    @property
    def catalogue_url(self) -> str:
        """SQLAlchemy URL of the catalogue."""
        return self.database_url or sqlite_url(self.home / "catalogue.db")

    @property
    def storage_root(self) -> str:
        """Fsspec URL of the folder that keeps the sources."""
        return (self.storage_url or (self.home / "storage").as_uri()).rstrip("/")

    @property
    def info_service(self) -> str:
        """Base URL of the face info service."""
        return (self.info_url or f"http://127.0.0.1:{self.services_port}").rstrip("/")

    @property
    def library_service(self) -> str:
        """Base URL of the face library service."""
        return (self.library_url or f"http://127.0.0.1:{self.services_port}").rstrip("/")

    @property
    def recurring_imports(self) -> Path:
        """File with the recurring imports; the default file need not exist."""
        return self.recurring_file or self.home / "recurring_imports.yaml"

    @property
    def console_url(self) -> str:
        """Base URL under which a browser reaches the API's web pages."""
        return (self.public_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def public_path(self) -> str:
        """Path of `console_url`, such as `/faces`; usually empty."""
        return urlsplit(self.public_url).path.rstrip("/")

    @property
    def embedded_airflow(self) -> str:
        """Base URL of the embedded Airflow's api-server, under the path that browsers use."""
        return f"http://127.0.0.1:{self.airflow_port}{urlsplit(self.airflow_public_url).path.rstrip('/')}"

    @property
    def airflow_api(self) -> str:
        """Base URL of Airflow's api-server."""
        return (self.airflow_url or self.embedded_airflow).rstrip("/")

    @property
    def airflow_pages(self) -> str:
        """Base URL under which a browser reaches Airflow's pages."""
        return (self.airflow_public_url or self.airflow_api).rstrip("/")

    @property
    def airflow_password(self) -> SecretStr:
        """Password of `airflow_user`, generated on the first start.

        Raises:
            ConfigError: the file cannot be read.
        """
        path = self.airflow_password_file or self.home / "secrets" / "airflow_password"
        try:
            return SecretStr(path.read_text().strip())
        except OSError as error:
            raise ConfigError(f"FACE_IMPORT_AIRFLOW_PASSWORD_FILE: cannot read {path}: {error.strerror}") from None

    @property
    def callback_secrets(self) -> tuple[SecretStr, ...]:
        """What callbacks are signed with, generated on the first start; several while one replaces another.

        Raises:
            ConfigError: the file cannot be read, or has something else in it.
        """
        path = self.callback_secret_file or self.home / "secrets" / "callback_secret"
        try:
            words = path.read_text().split()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigError(f"FACE_IMPORT_CALLBACK_SECRET_FILE: cannot read {path}: {why}") from None
        if not words or not all(map(_is_secret, words)):
            raise ConfigError(
                f"FACE_IMPORT_CALLBACK_SECRET_FILE: {path} must have secrets such as whsec_ and the base64 of 24 to 64 "
                "random bytes, one a line"
            )
        return tuple(map(SecretStr, words))


def _is_secret(word: str) -> bool:
    """Whether it is a secret as Standard Webhooks has them."""
    try:
        return word.startswith("whsec_") and 24 <= len(b64decode(word[6:], validate=True)) <= 64
    except ValueError:
        return False


def sqlite_url(path: Path) -> str:
    """SQLAlchemy URL of a database file, whatever characters its path has."""
    return f"sqlite:///{quote(str(path))}"


def _got(field: str, value: object) -> str:
    """What a variable has, unless it may be a secret."""
    return "" if Settings.model_fields[field].annotation is SecretStr else f" (got {value!r})"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Read the settings from the environment, once.

    Raises:
        ConfigError: a variable is invalid; names it, its value and the rule.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(
            f"FACE_IMPORT_{str(p['loc'][0]).upper()}: {p['msg']}{_got(str(p['loc'][0]), p['input'])}"
            for p in error.errors()
        )
        raise ConfigError(problems) from None
