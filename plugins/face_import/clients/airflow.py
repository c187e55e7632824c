"""Airflow's REST API (v2), as far as imports need it: runs, their task instances, and pools."""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

import requests
from requests.adapters import HTTPAdapter

from face_import.contract import DAG_ID, FINISH_TASK, PLAN_TASK, SHARD_TASK
from face_import.domain.planning import Pool
from face_import.errors import AirflowRefused, AirflowUnavailable, ConfigError, WrongState
from face_import.settings import Settings

log = logging.getLogger(__name__)
PAGE = 100
CONNECT_S, READ_S = 3.0, 20.0
HEALTH_S = 5.0
ACTIVE = ("queued", "running")


@dataclass(frozen=True, slots=True)
class Run:
    """A run as Airflow knows it.

    Attributes:
        queued_at: when it was queued last, in seconds since the epoch by Airflow's clock.
        note: its note, empty if it has none.
    """

    state: str
    queued_at: float
    note: str = ""

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ACTIVE


class Airflow:
    """One user's access to Airflow; safe to share between threads.

    Every method raises an `AirflowError` when Airflow does not do what it is asked.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("http://", HTTPAdapter(pool_maxsize=32))
        self._session.mount("https://", HTTPAdapter(pool_maxsize=32))
        self._token: str | None = None
        self._token_lock = threading.Lock()
        self._runs = f"/dags/{DAG_ID}/dagRuns"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._session.close()

    # -- its health

    def has_scheduler(self) -> bool:
        """Whether a scheduler has a recent heartbeat; asks without logging in, and not for long."""
        url = f"{self._settings.airflow_api}/api/v2/monitor/health"
        answer = self._send("GET", url, timeout=HEALTH_S)
        try:
            return bool(answer.ok and answer.json()["scheduler"]["status"] == "healthy")
        except (ValueError, KeyError, TypeError):
            raise AirflowRefused(f"{url} is not Airflow's health report") from None

    # -- the DAG

    def is_paused(self) -> bool:
        """Whether somebody has paused the DAG: nothing of any import starts then."""
        return bool(self._call("GET", f"/dags/{DAG_ID}").json()["is_paused"])

    # -- runs

    def trigger(self, run_id: str, conf: dict[str, Any], note: str) -> None:
        """Create a run; an existing one is left unchanged.

        Raises:
            WrongState: Airflow does not accept its parameters, and will not later either.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf, "note": note}
        answer = self._call("POST", self._runs, body, expect=(200, 400, 409))
        if answer.status_code == 400:
            raise WrongState(f"Airflow does not accept this run: {answer.json().get('detail', answer.text)[:300]}")

    def run(self, run_id: str) -> Run | None:
        """The current state of a run, None if there is none."""
        answer = self._call("GET", f"{self._runs}/{quote(run_id, safe='')}", expect=(200, 404))
        return None if answer.status_code == 404 else _run(answer.json())

    def active_runs(self) -> dict[str, Run]:
        """All queued and running runs, by run id."""
        return {run["dag_run_id"]: _run(run) for run in self._pages(self._runs, "dag_runs", {"state": ACTIVE})}

    def fail_run(self, run_id: str, *, on_purpose: bool = False) -> None:
        """Mark a run failed, which is Airflow's only word for one that has ended without a success.

        First its running task instances, one by one, then its last task, then the rest.
        Marking the run alone would also turn its successful shards into failed ones, and leave the last task skipped:
        a scheduler that reads the run at that moment takes it for a success. Within one request Airflow updates
        instances in any order, and each failure skips the last task, even if that has failed already.

        Args:
            run_id: the run.
            on_purpose: whether somebody stopped its import: nothing has failed then, so what is running is skipped.
        """
        cut_short = "skipped" if on_purpose else "failed"
        running = self._task_instances(run_id, state=("running", "restarting", "up_for_retry", "up_for_reschedule"))
        upstream = [(ti["task_id"], ti["map_index"]) for ti in running if ti["task_id"] != FINISH_TASK]
        for instances, state in ((sorted(upstream), cut_short), ([(FINISH_TASK, -1)], "failed")):
            self._update_instances(run_id, [_entity(*instance, new_state=state) for instance in instances])
        self._call("PATCH", f"{self._runs}/{quote(run_id, safe='')}", {"state": "failed"}, expect=(200, 404, 409))

    def set_note(self, run_id: str, note: str) -> None:
        """Replace the note of a run; a missing run is no error."""
        self._call("PATCH", f"{self._runs}/{quote(run_id, safe='')}", {"note": note}, expect=(200, 404))

    def delete_run(self, run_id: str) -> bool:
        """Delete a run that has ended; False while it is still active."""
        answer = self._call("DELETE", f"{self._runs}/{quote(run_id, safe='')}", expect=(204, 404, 409))
        return answer.status_code != 409

    def to_clear(self, run_id: str, unfinished: Sequence[int], finished: Iterable[int]) -> list[Any]:
        """What has to be cleared to resume an ended run; sets its finished shards to success.

        Args:
            run_id: the run.
            unfinished: numbers of the shards with rows left; empty if the run was never planned.
            finished: numbers of the shards without.

        Returns:
            task ids, and pairs of task id and map index, for `clear`.
        """
        states = {(ti["task_id"], ti["map_index"]): ti["state"] for ti in self._task_instances(run_id)}
        shards = [number for number in unfinished if (SHARD_TASK, number) in states]
        if states.get((PLAN_TASK, -1)) != "success" or len(shards) < len(unfinished):
            return [PLAN_TASK, SHARD_TASK, FINISH_TASK]
        self._update_instances(
            run_id,
            [
                _entity(SHARD_TASK, number, new_state="success")
                for number in finished
                if states.get((SHARD_TASK, number)) != "success"
            ],
        )
        return [*([SHARD_TASK, number] for number in shards), FINISH_TASK]

    def clear(self, run_id: str, instances: list[Any]) -> None:
        """Clear task instances, so that they run again; a run that has ended is queued again."""
        body = {
            "dag_run_id": run_id,
            "task_ids": instances,
            "dry_run": False,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        self._call("POST", f"/dags/{DAG_ID}/clearTaskInstances", body)

    def is_cut_short(self, run_id: str) -> bool:
        """Whether a run has ended although some of its task instances have no state yet.

        Airflow's scheduler reads a run, and some time later writes its verdict. On PostgreSQL that overwrites a clear
        in between: a run that was failed and started again at once has then ended once more, although the cleared
        instances still wait. A run that is marked by hand has no such instances.
        """
        return any(ti["state"] is None for ti in self._task_instances(run_id))

    def _task_instances(self, run_id: str, state: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
        where = {"state": state} if state else {}
        return self._pages(f"{self._runs}/{quote(run_id, safe='')}/taskInstances", "task_instances", where)

    def _update_instances(self, run_id: str, entities: list[dict[str, Any]]) -> None:
        if entities:
            body = {"actions": [{"action": "update", "entities": entities, "action_on_non_existence": "skip"}]}
            self._call("PATCH", f"{self._runs}/{quote(run_id, safe='')}/taskInstances", body, expect=(200, 404))

    # -- the executor

    def queued(self) -> list[str]:
        """Ids of task instances of all DAGs that wait in the executor, at most a page of them."""
        return [instance["id"] for instance in self._all_instances("queued", PAGE)["task_instances"]]

    def running(self) -> int:
        """Number of running task instances of all DAGs."""
        return int(self._all_instances("running", 1)["total_entries"])

    def _all_instances(self, state: str, limit: int) -> dict[str, Any]:
        where = {"state": state, "limit": limit}
        found: dict[str, Any] = self._call("GET", "/dags/~/dagRuns/~/taskInstances", params=where).json()
        return found

    # -- pools

    def set_pool(self, pool: Pool) -> None:
        """Change a pool's slots; a missing pool is no error, since its run is not active."""
        body = {**asdict(pool), "include_deferred": False}
        self._call("PATCH", f"/pools/{quote(pool.name, safe='')}", body, expect=(200, 404))

    def make_pool(self, pool: Pool) -> None:
        """Create a pool; an existing one is left unchanged."""
        self._call("POST", "/pools", {**asdict(pool), "include_deferred": False}, expect=(201, 409))

    def pools(self, prefix: str) -> dict[str, int]:
        """Slots of the pools whose names begin with `prefix`, by name."""
        pools = self._pages("/pools", "pools", {"pool_name_pattern": f"{prefix}%"})
        return {pool["name"]: pool["slots"] for pool in pools if pool["name"].startswith(prefix)}

    def delete_pool(self, name: str) -> None:
        """Delete a pool, if it exists."""
        self._call("DELETE", f"/pools/{quote(name, safe='')}", expect=(204, 404))

    # -- requests

    def _pages(self, path: str, key: str, where: dict[str, Any]) -> Iterator[dict[str, Any]]:
        offset = 0
        while True:
            page = self._call("GET", path, params={**where, "limit": PAGE, "offset": offset}).json()
            yield from page[key]
            offset += PAGE
            if offset >= page["total_entries"]:
                return

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        params: dict[str, Any] | None = None,
        expect: tuple[int, ...] = (200,),
    ) -> requests.Response:
        url = f"{self._settings.airflow_api}/api/v2{path}"
        answer = self._send(method, url, json=body, params=params, headers=self._authorization())
        if answer.status_code == 401:
            self._token = None
            answer = self._send(method, url, json=body, params=params, headers=self._authorization())
        if answer.status_code not in expect:
            raise AirflowRefused(
                f"Airflow answered {answer.status_code} to {method} {path}: {answer.text[:300]}",
                sent=answer.status_code >= 500,
            )
        return answer

    def _authorization(self) -> dict[str, str]:
        """A bearer token, fetched once, and again when Airflow no longer accepts it."""
        with self._token_lock:
            if self._token is None:
                try:
                    password = self._settings.airflow_password.get_secret_value()
                except ConfigError as error:
                    raise AirflowUnavailable(str(error), sent=False) from None
                body = {"username": self._settings.airflow_user, "password": password}
                answer = self._send("POST", f"{self._settings.airflow_api}/auth/token", json=body)
                if answer.status_code != 201:
                    raise AirflowUnavailable(f"Airflow refused our login: {answer.status_code}", sent=False)
                self._token = str(answer.json()["access_token"])
            return {"Authorization": f"Bearer {self._token}"}

    def _send(
        self, method: str, url: str, *, timeout: float | tuple[float, float] = (CONNECT_S, READ_S), **kwargs: Any
    ) -> requests.Response:
        try:
            return self._session.request(method, url, timeout=timeout, **kwargs)
        except (requests.ConnectTimeout, requests.ConnectionError) as error:
            refused = isinstance(error, requests.ConnectTimeout) or "NewConnectionError" in repr(error)
            raise AirflowUnavailable("Airflow's api-server does not answer", sent=not refused) from error
        except requests.RequestException as error:
            raise AirflowUnavailable(f"no answer from Airflow's api-server: {error}") from error


def _run(run: dict[str, Any]) -> Run:
    queued_at = run["queued_at"]
    return Run(run["state"], datetime.fromisoformat(queued_at).timestamp() if queued_at else 0.0, run.get("note") or "")


def _entity(task_id: str, map_index: int, **what: Any) -> dict[str, Any]:
    return {"task_id": task_id, "map_index": map_index, **what}
