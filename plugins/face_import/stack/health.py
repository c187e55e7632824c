"""Health of the stack's programs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import requests

from face_import.clients.airflow import Airflow
from face_import.contract import DAG_ID
from face_import.errors import AirflowError
from face_import.settings import Settings
from face_import.stack.supervisor import ProcessState, Program, Sign
from face_import.stack.workers import answering

_TIMEOUT_S = 3.0
_BEATING = {Sign.BEATS, Sign.PARSES}


def problems(settings: Settings, listed: Sequence[Program], states: Mapping[str, ProcessState]) -> dict[str, str]:
    """The problem of each unhealthy program, in a few words.

    Args:
        settings: with the address of Airflow's api-server.
        listed: the programs that should run.
        states: their states according to supervisord.
    """
    beats = _heartbeats(settings) if any(program.sign in _BEATING for program in listed) else {}
    found = {program.name: _problem(program, states.get(program.name), beats) for program in listed}
    workers = [program.name for program in listed if program.sign is Sign.PONGS and not found[program.name]]
    found |= dict.fromkeys(set(workers) - answering(settings, workers), "no response")
    for program in listed:
        if program.sign is Sign.PARSES and not found[program.name] and not _knows_the_dag(settings):
            found[program.name] = f"DAG {DAG_ID} is missing (see face-import airflow dags list-import-errors)"
    return {name: problem for name, problem in found.items() if problem}


def dag_is_paused(settings: Settings) -> bool:
    """Whether somebody has paused the import DAG in Airflow; False if Airflow cannot be asked."""
    try:
        with Airflow(settings) as airflow:
            return airflow.is_paused()
    except AirflowError:
        return False


def database_is_full(settings: Settings) -> bool:
    """Whether PostgreSQL says that its disk has no room; False if it is not used or cannot be asked."""
    if not settings.database_url.startswith("postgresql"):
        return False
    from sqlalchemy import create_engine  # noqa: PLC0415 - slow to import, and few commands need it
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - the same
    from sqlalchemy.pool import NullPool  # noqa: PLC0415 - the same

    from face_import.catalogue.engine import has_room  # noqa: PLC0415 - the same

    try:
        engine = create_engine(settings.database_url, connect_args={"connect_timeout": 3}, poolclass=NullPool)
        return not has_room(engine)
    except (SQLAlchemyError, ImportError):
        return False


def _problem(program: Program, state: ProcessState | None, beats: Mapping[str, float]) -> str:
    if state is None or not state.alive:
        return state.state.lower() if state else "missing"
    if program.sign is Sign.ANSWERS:
        return "" if _get(program.url) is not None else "no response"
    if program.sign in _BEATING and beats.get(program.name, 0.0) < state.started:
        return "no heartbeat yet"
    return ""


def _heartbeats(settings: Settings) -> dict[str, float]:
    """Time of the latest heartbeat of each healthy Airflow component, in seconds since the epoch.

    Airflow stores them in its database: one from before the process started belongs to its predecessor.
    """
    response = _get(f"{settings.embedded_airflow}/api/v2/monitor/health")
    if response is None:
        return {}
    report: dict[str, Any] = response.json()
    beats: dict[str, float] = {}
    for component, entry in report.items():
        beat = entry.get(f"latest_{component}_heartbeat")
        if entry.get("status") == "healthy" and beat:
            beats[component.replace("_", "-")] = datetime.fromisoformat(beat).timestamp()
    return beats


def _knows_the_dag(settings: Settings) -> bool:
    """Whether Airflow has parsed the import DAG: before that, it cannot be triggered."""
    try:
        with Airflow(settings) as airflow:
            airflow.active_runs()
    except AirflowError:
        return False
    return True


def _get(url: str) -> requests.Response | None:
    try:
        with requests.Session() as session:
            session.trust_env = False  # no proxy on loopback
            response = session.get(url, timeout=_TIMEOUT_S)
    except requests.RequestException:
        return None
    return response if response.ok else None
