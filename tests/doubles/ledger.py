"""What the face services' double remembers and how it is told to misbehave."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Call:
    """One call: times are Unix seconds, `status` 0 for one that was cut off."""

    kind: str
    group: str
    task: str
    face_id: str
    sha256: str
    start: float
    end: float
    status: int


@dataclass(slots=True)
class Group:
    """A face group: what is known of each id, and how often it was added (never more than once, one hopes)."""

    capacity: int
    faces: dict[str, str] = field(default_factory=dict)
    labels: dict[str, tuple[str, Any]] = field(default_factory=dict)
    persons: dict[str, str] = field(default_factory=dict)
    adds: Counter[str] = field(default_factory=Counter)


@dataclass
class State:
    """Groups, calls, faults."""

    groups: dict[str, Group] = field(default_factory=dict)
    calls: list[Call] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    in_flight: Counter[str] = field(default_factory=Counter)
    max_in_flight: Counter[str] = field(default_factory=Counter)
    most: int = 0
    unique_features: bool = False
    features_first: bool = False
    faults: list[dict[str, Any]] = field(default_factory=list)
    delays: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    journal: Path | None = None

    def __post_init__(self) -> None:
        """Take up the groups of a process that was killed, if there is a journal of it."""
        if self.journal is None or not self.journal.exists():
            return
        for line in self.journal.read_text().splitlines():
            entry = json.loads(line)
            group = self.groups.setdefault(entry["group"], Group(entry["capacity"]))
            if entry["id"] and not entry["sha256"]:
                group.faces.pop(entry["id"], None)
            elif entry["id"]:
                group.faces[entry["id"]] = entry["sha256"]
                group.labels[entry["id"]] = (entry["tag"], entry["desc"])
                group.persons[entry["id"]] = entry["person"]
                group.adds[entry["id"]] += 1

    def keep(self, name: str, face_id: str = "", sha256: str = "") -> None:
        """Write a created group, or a face added to it or (without `sha256`) deleted, where no kill -9 reaches it."""
        if self.journal is not None:
            group = self.groups[name]
            tag, desc = group.labels.get(face_id, ("", ""))
            entry = {
                "group": name,
                "capacity": group.capacity,
                "id": face_id,
                "sha256": sha256,
                "person": group.persons.get(face_id, ""),
                "tag": tag,
                "desc": desc,
            }
            with self.journal.open("a") as file:
                file.write(json.dumps(entry) + "\n")

    def set(self, wanted: dict[str, Any]) -> None:
        """Take over what `POST /__control` says and let go of hanging calls."""
        delay = wanted.get("delay_s", {})
        self.delays = delay if isinstance(delay, dict) else {"*": float(delay)}
        self.faults = list(wanted.get("faults", []))
        self.unique_features = bool(wanted.get("unique_features"))
        self.features_first = bool(wanted.get("features_first"))
        self.changed.set()
        self.changed = asyncio.Event()
        if wanted.get("reset"):
            self.groups.clear()
            if self.journal is not None:
                self.journal.unlink(missing_ok=True)
            self.calls.clear()
            self.violations.clear()
            self.max_in_flight = +self.in_flight
            self.most = self.in_flight.total()

    def delay(self, kind: str) -> float:
        """Seconds to wait before a call of this kind."""
        return self.delays.get(kind, self.delays.get("*", 0.0))

    def fault(self, kind: str, task: str) -> dict[str, Any] | None:
        """Return how this call is to fail, counting it off; None if it is not."""
        for fault in self.faults:
            meant = fault.get("kind", "*") in {"*", kind} and fault.get("task", task) == task
            if meant and fault.get("times", 1) > 0:
                if "times" in fault:
                    fault["times"] -= 1
                return fault
        return None

    def enter(self, task: str) -> None:
        """Count a call in; a row makes one call at a time, so calls under way are rows in flight."""
        self.in_flight[task] += 1
        self.max_in_flight[task] = max(self.max_in_flight[task], self.in_flight[task])
        self.most = max(self.most, self.in_flight.total())

    def leave(self, task: str, call: Call) -> None:
        """Count a call out and remember it."""
        self.in_flight[task] -= 1
        self.calls.append(call)

    def report(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return the record, of the calls that `since`, `until`, `group` and `task` leave."""
        calls = [
            call
            for call in self.calls
            if query.get("group", call.group) == call.group and query.get("task", call.task) == call.task
        ]
        since = float(query.get("since", min((call.start for call in calls), default=0.0)))
        until = float(query.get("until", max((call.end for call in calls), default=since)))
        calls = [call for call in calls if call.end >= since and call.start <= until]
        busy = sum(min(call.end, until) - max(call.start, since) for call in calls)
        answer: dict[str, Any] = {
            "calls": len(calls),
            "by_kind": dict(Counter(call.kind for call in calls)),
            "by_status": dict(Counter(str(call.status) for call in calls)),
            "in_flight": self.in_flight.total(),
            "max_in_flight": self.most,
            "max_in_flight_by_task": dict(self.max_in_flight),
            "mean_in_flight": busy / (until - since) if until > since else 0.0,
            "first_start": min((call.start for call in calls), default=None),
            "last_start": max((call.start for call in calls), default=None),
            "last_end": max((call.end for call in calls), default=None),
            "violations": self.violations[:100],
            "groups": {name: len(group.faces) for name, group in self.groups.items()},
            "most_adds_of_an_id": max((n for g in self.groups.values() for n in g.adds.values()), default=0),
        }
        if query.get("all"):
            answer["list"] = [asdict(call) for call in calls]
            answer["faces"] = {name: group.faces for name, group in self.groups.items()}
        return answer


STATE: web.AppKey[State] = web.AppKey("state", State)
