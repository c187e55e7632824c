"""Image hosts in trouble are not bad rows: their rows wait, those of other hosts go on, and no crash loses one."""

from typing import Any

import pytest
import requests

from tests.faults.conftest import Faults
from tests.faults.test_crashes import kill

ROWS = 2400
AWAY_S, LIMITED_S, RETRY_AFTER_S = 70.0, 45.0, 30.0
LEARNED_S = 2.0
"""Within this time all shards know what one of them was told: they renew their leases twice a second."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_hosts_in_trouble_cost_no_row(faults: Faults) -> None:
    """One is 503 for over a minute, one 429 with Retry-After, one 500 now and then; a shard is killed meanwhile."""
    away = faults.images.host("away", status=503)
    limited = faults.images.host("limited", status=429, retry_after=f"{RETRY_AFTER_S:.0f}")
    shaky = faults.images.host("shaky", status=500, share=0.01)
    hosts = (away, limited, shaky, faults.images, faults.images, faults.images)
    lines = [f"{hosts[n % len(hosts)].image(n=n)},t{n},d" for n in range(ROWS)]
    task_id = faults.stack.api.create(lines, thread_num=10)
    faults.stack.api.ok(f"{task_id}/start")

    # both are seen to be waited for: in the API, in the metrics, and in Airflow
    in_trouble = {away.name: "503", limited.name: "429"}
    waiting = faults.until(lambda: _waiting(faults, task_id, in_trouble.keys()), 60)
    assert {host: waiting[host]["reason"][:3] for host in in_trouble} == in_trouble
    away.switch(status=503, for_s=AWAY_S)
    limited.switch(status=429, retry_after=f"{RETRY_AFTER_S:.0f}", for_s=LIMITED_S)
    assert _unavailable_hosts(faults) == len(in_trouble)
    run = f"dags/face_import/dagRuns/{task_id}"
    faults.until(lambda: "; waiting for 127.0.0.1:" in (faults.stack.rest(run)["note"] or ""))

    kill(faults.until(faults.shard_processes)[0])
    faults.completes(task_id, ROWS, deadline_s=400)

    assert faults.stack.api.detail(task_id)["waiting"] == []
    assert "waiting for" not in faults.stack.rest(run)["note"]
    assert len(faults.services.record(all=1)["faces"]["staff"]) == ROWS
    shards = len(faults.stack.catalogue.plans.shards(task_id))
    assert len(_within_pauses(limited.requests())) <= shards
    unanswered = [one for one in away.requests() if one["status"] == 503]
    assert len(unanswered) < ROWS // len(hosts) / 4  # a few rows ask, and not each of them again and again
    assert 500 in {one["status"] for one in shaky.requests()}


def test_host_threads_is_exact(faults: Faults) -> None:
    """No host ever sees more fetches of a task at once, over all its processes, and each sees as many."""
    faults.services.control(delay_s=0.02)
    hosts = [faults.images.host(name, latency_s=0.3) for name in ("one", "two")]
    lines = [f"{host.image(n=n, h=host.name)},t{n},d" for n in range(600) for host in hosts]
    task_id = faults.stack.api.create(lines, thread_num=24, host_threads=6)
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, len(lines))
    assert len(faults.stack.catalogue.plans.shards(task_id)) > 1
    assert [max(one["at_once"] for one in host.requests()) for host in hosts] == [6, 6]


@pytest.mark.slow
@pytest.mark.parametrize("hints", ["", "ratelimit", "x-ratelimit"])
def test_a_host_that_takes_few_requests_costs_no_row(faults: Faults, hints: str) -> None:
    """Four a second, with fifty threads: it is asked as often as it takes, at the latest once it has said so."""
    faults.services.control(delay_s=0.02)
    limited = faults.images.host("limited", per_second=4, retry_after="1", hints=hints)
    task_id = faults.stack.api.create([f"{limited.image(n=n)},t{n},d" for n in range(100)], thread_num=50)
    faults.stack.api.ok(f"{task_id}/start")
    faults.completes(task_id, 100)
    seen = limited.requests()
    settled = [one for one in seen if one["at"] > seen[0]["at"] + 5]
    refused = [one for one in settled if one["status"] == 429]
    assert len(refused) < len(settled) / (4 if hints else 2)


def _waiting(faults: Faults, task_id: str, hosts: Any) -> dict[str, Any]:
    """What rows of a task are known to wait for, by host, once all of these are among it."""
    found = {one["host"]: one for one in faults.stack.api.detail(task_id)["waiting"] if one["rows"]}
    return found if found.keys() >= set(hosts) else {}


def _unavailable_hosts(faults: Faults) -> float:
    metrics = requests.get(faults.stack.api.url.replace("/v1/tasks", "/metrics"), timeout=60).text
    (line,) = (line for line in metrics.splitlines() if line.startswith("face_import_hosts_unavailable "))
    return float(line.split()[1])


def _within_pauses(seen: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Requests to a host in a pause that it asked for, but for the time in which all shards hear of it."""
    told = [one["end"] for one in seen if one["status"] == 429]
    return [one for one in seen if any(at + LEARNED_S < one["at"] < at + RETRY_AFTER_S - 0.05 for at in told)]
