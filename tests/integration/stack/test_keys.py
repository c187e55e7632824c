"""`face-import keys`, as an operator meets it."""

from pathlib import Path

from face_import.audit import AuditLog
from face_import.keys import KeyFile, KeyRing
from face_import.settings import Settings
from tests.unit.stack.conftest import face_import


def test_keys_are_added_listed_and_revoked(settings: Settings, tmp_path: Path) -> None:
    """The key is printed once and works; the list shows its groups, never the key."""
    variables = {"FACE_IMPORT_API_KEYS_FILE": str(tmp_path / "keys.json")}
    added = face_import(settings, "keys", "add", "alice", "--group", "staff", "--group", "vip", **variables)
    key = added.stdout.strip()
    ring = KeyRing(KeyFile(tmp_path / "keys.json"))
    found = ring.find(key)
    assert found is not None
    assert (found[0], found[1].groups) == ("alice", ("staff", "vip"))
    listed = face_import(settings, "keys", "list", **variables).stdout
    assert "alice" in listed
    assert "staff, vip" in listed
    assert key not in listed
    assert face_import(settings, "keys", "revoke", "alice", **variables).returncode == 0
    assert ring.find(key) is None
    audited = [(one.action, one.details) for one in AuditLog.of(settings).last(9)]
    assert audited == [("revoke_key", {"key": "alice"}), ("add_key", {"key": "alice", "groups": "staff, vip"})]


def test_what_is_wrong_is_one_line(settings: Settings, tmp_path: Path) -> None:
    """No file, a group that is none, an unknown name: exit code 1 and no traceback."""
    variables = {"FACE_IMPORT_API_KEYS_FILE": str(tmp_path / "keys.json")}
    for done, said in (
        (face_import(settings, "keys", "add", "alice"), "FACE_IMPORT_API_KEYS_FILE: not set"),
        (face_import(settings, "keys", "add", "alice", "--group", "No Group", **variables), "group_name"),
        (face_import(settings, "keys", "revoke", "bob", **variables), "no key 'bob'"),
    ):
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1
