"""The first task of a recurring import: wait for its source."""

from typing import Any

from airflow.sdk import BaseSensorOperator, Context
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from face_import.clients.download import open_http
from face_import.clients.transfer import FetchError
from face_import.domain.uri import redact
from face_import.errors import SourceError, SourceMissing
from face_import.settings import get_settings
from face_import.sources.location import open_source


class SourceSensor(BaseSensorOperator):
    """Succeeds once the source can be opened; fails with the reason if it cannot within the patience.

    Args:
        source: template of its URL.
        patience_s: how long to wait. No process is kept between two looks.
    """

    template_fields = ("source",)

    def __init__(self, *, source: str, patience_s: int, **kwargs: Any) -> None:
        often = min(60.0, max(1.0, patience_s / 10))
        super().__init__(mode="reschedule", timeout=patience_s, poke_interval=often, **kwargs)
        self.source = source
        self.patience_s = patience_s
        self.why = ""

    def execute(self, context: Context) -> Any:
        """Look once, and again later if the source is not there."""
        try:
            return super().execute(context)
        except AirflowSensorTimeout:
            waited = f"waited {self.patience_s} s for the source {redact(self.source)}"
            raise AirflowFailException(f"{waited}, and it is not there: {self.why}") from None

    def poke(self, context: Context) -> bool:  # noqa: ARG002 - Airflow's interface
        """Whether the source's first byte can be read; a URL that is not allowed will not become so."""
        settings = get_settings()
        try:
            with open_source(self.source, settings, lambda url: open_http(url, settings)) as stream:
                stream.read(1)
        except (FetchError, SourceMissing) as error:
            self.why = str(error)
            self.log.info("not there yet: %s: %s", redact(self.source), self.why)
            return False
        except SourceError as error:
            raise AirflowFailException(str(error)) from None
        return True
