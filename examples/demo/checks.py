"""What must come out of the demo, compared with what did."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from examples.demo.album import Entry
from examples.demo.client import Failure, Hit
from face_import.contract import Code

Outcomes = Mapping[int, int]
"""Code by row number; 0 is success."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything a user can find out about the import.

    Attributes:
        detail: the task's last `detail`.
        log: its log.
        download: its log as a CSV file.
        group_size: faces in the group.
        found: hits of each search, by the tag of the person in the picture.
    """

    detail: Mapping[str, Any]
    log: Sequence[Failure]
    download: Sequence[tuple[str, int, str]]
    group_size: int
    found: Mapping[str, Sequence[Hit]]


@dataclass(frozen=True, slots=True)
class Check:
    """One claim, what it expects and what was seen."""

    claim: str
    expected: object
    seen: object

    @property
    def holds(self) -> bool:
        """Whether they are the same."""
        return self.expected == self.seen


def outcomes(log: Sequence[Failure], rows: int) -> Outcomes:
    """Code of every row: what is not in the log succeeded."""
    return dict.fromkeys(range(1, rows + 1), int(Code.OK)) | {failure.row: failure.code for failure in log}


def surprises(entries: Sequence[Entry], log: Sequence[Failure]) -> list[str]:
    """One line for each row that came out otherwise than it must."""
    messages = {failure.row: failure.message for failure in log}
    came_out = outcomes(log, len(entries))
    return [
        f"row {row}, {entry.name or 'data URI'}: {int(entry.code)} expected, "
        f"{came_out[row]} came out ({messages.get(row, 'imported')})"
        for row, entry in enumerate(entries, 1)
        if came_out[row] != entry.code
    ]


def checks(entries: Sequence[Entry], evidence: Evidence) -> list[Check]:
    """All claims about the import of these entries."""
    detail, log = evidence.detail, evidence.log
    expected = {row: int(entry.code) for row, entry in enumerate(entries, 1)}
    failures = {str(code): rows for code, rows in sorted(Counter(expected.values()).items()) if code}
    imported = len(entries) - sum(failures.values())
    return [
        Check("every row came out with the code it must", expected, dict(outcomes(log, len(entries)))),
        Check("the log has every failed row once, in order", [r for r, c in expected.items() if c], _rows(log)),
        Check("the downloaded log says the same", [(f.uri, f.code, f.message) for f in log], list(evidence.download)),
        Check("detail counts every row", (len(entries), len(entries)), (detail["total_num"], detail["handled_num"])),
        Check("detail counts the failures by code", failures, dict(sorted(detail["errors"].items()))),
        Check("detail and group agree on what was imported", (imported, imported), _imported(evidence)),
        *(
            Check(f"the group knows {person}" if known else f"the group does not know the {person}", known, _who(hits))
            for person, hits, known in _searches(entries, evidence)
        ),
    ]


def _rows(log: Sequence[Failure]) -> list[int]:
    return [failure.row for failure in log]


def _imported(evidence: Evidence) -> tuple[int, int]:
    return evidence.detail["success_num"], evidence.group_size


def _searches(entries: Sequence[Entry], evidence: Evidence) -> list[tuple[str, Sequence[Hit], set[str]]]:
    """Each person searched for, what was found, and the tags it must have: the person's own, if any row got in."""
    members = {entry.tag for entry in entries if entry.code is Code.OK}
    return [(person, hits, {person} & members) for person, hits in evidence.found.items()]


def _who(hits: Sequence[Hit]) -> set[str]:
    return {hit.tag for hit in hits}
