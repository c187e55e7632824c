"""Compares the demo's results with the expected ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from examples.demo.album import AlbumRow
from examples.demo.client import Failure, Hit
from face_import.contract import Code

Outcomes = Mapping[int, int]
"""Code by row number; 0 is success."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything that a user can see of the import.

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
    """One claim, its expected value and the actual one."""

    claim: str
    expected: object
    seen: object

    @property
    def holds(self) -> bool:
        """Whether they are equal."""
        return self.expected == self.seen


def outcomes(log: Sequence[Failure], rows: int) -> Outcomes:
    """Code of every row: rows that are not in the log succeeded."""
    return dict.fromkeys(range(1, rows + 1), int(Code.OK)) | {failure.row: failure.code for failure in log}


def surprises(entries: Sequence[AlbumRow], log: Sequence[Failure]) -> list[str]:
    """One line for each row with an unexpected result."""
    messages = {failure.row: failure.message for failure in log}
    came_out = outcomes(log, len(entries))
    return [
        f"row {row}, {entry.name or 'data URI'}: expected {int(entry.code)}, "
        f"got {came_out[row]} ({messages.get(row, 'imported')})"
        for row, entry in enumerate(entries, 1)
        if came_out[row] != entry.code
    ]


def checks(entries: Sequence[AlbumRow], evidence: Evidence) -> list[Check]:
    """All claims about the import of these entries."""
    detail, log = evidence.detail, evidence.log
    expected = {row: int(entry.code) for row, entry in enumerate(entries, 1)}
    failures = {str(code): rows for code, rows in sorted(Counter(expected.values()).items()) if code}
    imported = len(entries) - sum(failures.values())
    return [
        Check("every row has the expected code", expected, dict(outcomes(log, len(entries)))),
        Check("the log contains every failed row once, in order", [r for r, c in expected.items() if c], _rows(log)),
        Check("the downloaded log is the same", [(f.uri, f.code, f.message) for f in log], list(evidence.download)),
        Check("detail counts every row", (len(entries), len(entries)), (detail["total_num"], detail["handled_num"])),
        Check("detail counts the failures by code", failures, dict(sorted(detail["errors"].items()))),
        Check("detail and group agree on the number of imported rows", (imported, imported), _imported(evidence)),
        *(
            Check(f"the group knows {person}" if known else f"the group does not know the {person}", known, _who(hits))
            for person, hits, known in _searches(entries, evidence)
        ),
    ]


def _rows(log: Sequence[Failure]) -> list[int]:
    return [failure.row for failure in log]


def _imported(evidence: Evidence) -> tuple[int, int]:
    return evidence.detail["success_num"], evidence.group_size


def _searches(entries: Sequence[AlbumRow], evidence: Evidence) -> list[tuple[str, Sequence[Hit], set[str]]]:
    """Each person searched for, the hits, and the expected tags: the person's own, if any row was imported."""
    members = {entry.tag for entry in entries if entry.code is Code.OK}
    return [(person, hits, {person} & members) for person, hits in evidence.found.items()]


def _who(hits: Sequence[Hit]) -> set[str]:
    return {hit.tag for hit in hits}
