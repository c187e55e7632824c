"""What the audit for known vulnerabilities says."""

import json
import subprocess
from typing import Any

import pytest

from scripts import audit

FOUND = {"id": "PYSEC-1", "fix_versions": ["1.1"], "aliases": [], "description": "bad"}
GOOD = {"name": "good", "version": "2.0", "vulns": []}
BAD = {"name": "bad", "version": "1.0", "vulns": [FOUND]}
UNKNOWN = {"name": "odd", "skip_reason": "Dependency not found on PyPI"}


def answer(*packages: dict[str, Any], stderr: str = "") -> subprocess.CompletedProcess[str]:
    """What pip-audit prints; nothing if it failed."""
    stdout = json.dumps({"dependencies": packages, "fixes": []}) if packages else ""
    return subprocess.CompletedProcess([], 1, stdout, stderr)


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (answer(GOOD), 0, "1 packages, 0 known vulnerabilities\n"),
        (answer(GOOD, BAD), 1, "bad 1.0: PYSEC-1, fixed in 1.1\n"),
        (answer(GOOD, UNKNOWN), 0, ", 1 NOT CHECKED: unknown to this index\n"),
        (answer(stderr="requests.exceptions.ConnectionError: no route"), 0, "NOT CHECKED, the package index"),
        (answer(stderr="error: no such option"), 2, "pip-audit failed: error: no such option\n"),
    ],
    ids=["clean", "vulnerable", "unknown", "offline", "broken"],
)
def test_what_could_not_be_checked_is_said(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: subprocess.CompletedProcess[str],
    status: int,
    said: str,
) -> None:
    """A vulnerability fails the check; what could not be asked is never passed over in silence."""
    monkeypatch.setattr(audit, "asked", lambda _file: answer)
    assert audit.main() == status
    output = capsys.readouterr()
    assert said in output.out + output.err
