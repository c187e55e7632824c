"""How a recurring import waits for its source."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout

from face_import.clients.transfer import TransientFetchError
from face_import.orchestration.recurring import waiting
from face_import.orchestration.recurring.waiting import SourceSensor
from face_import.settings import Settings


@pytest.fixture
def sensor(settings: Settings, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> SourceSensor:
    """A sensor for a file that is not there yet."""
    monkeypatch.setattr(waiting, "get_settings", lambda: settings)
    return SourceSensor(task_id="wait_for_source", source=(inbox / "faces.csv").as_uri(), patience_s=300)


def test_a_source_is_there_once_it_can_be_opened(sensor: SourceSensor, inbox: Path) -> None:
    """Until then the sensor remembers why not."""
    assert sensor.poke(cast("Any", {})) is False
    assert "No such file" in sensor.why
    (inbox / "faces.csv").write_text("uri\n")
    assert sensor.poke(cast("Any", {})) is True


def test_a_host_that_is_down_may_come_back(sensor: SourceSensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is not the file is no reason to fail."""

    @contextmanager
    def open_http(_url: str, _settings: Settings) -> Iterator[BinaryIO]:
        raise TransientFetchError("503 Service Unavailable")
        yield BytesIO()

    monkeypatch.setattr(waiting, "open_http", open_http)
    sensor.source = "https://h/faces.csv"
    assert sensor.poke(cast("Any", {})) is False
    assert sensor.why == "503 Service Unavailable"


def test_a_source_that_is_not_allowed_is_not_waited_for(sensor: SourceSensor) -> None:
    """It fails without a retry."""
    sensor.source = "file:///etc/passwd"
    with pytest.raises(AirflowFailException, match="not allowed"):
        sensor.poke(cast("Any", {}))


def test_the_end_of_the_patience_has_a_reason(sensor: SourceSensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the last look has found, and no secret of the URL."""

    def timed_out(self: SourceSensor, context: Any) -> None:
        self.poke(context)
        raise AirflowSensorTimeout("Sensor has timed out")

    monkeypatch.setattr(BaseSensorOperator, "execute", timed_out)
    with pytest.raises(AirflowFailException, match=r"waited 300 s for the source file:.*No such file"):
        sensor.execute(cast("Any", {}))


@pytest.mark.parametrize(("patience_s", "interval_s"), [(3, 1), (300, 30), (86_400, 60)])
def test_the_sensor_looks_often_enough(patience_s: int, interval_s: float) -> None:
    """Ten times within its patience, between every second and every minute; in between no process waits."""
    sensor = SourceSensor(task_id="wait", source="https://h/a.csv", patience_s=patience_s)
    assert (sensor.poke_interval, sensor.timeout, sensor.mode) == (interval_s, patience_s, "reschedule")
