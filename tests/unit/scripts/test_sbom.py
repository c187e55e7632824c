"""The bill of materials of what the product is pinned to."""

import json
from importlib.metadata import version
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from face_import.settings import CHECKOUT
from scripts import sbom

LOCK = """\
absent==1.0 ; python_full_version < '3.0' \\
    --hash=sha256:00
flask==3.1.3 \\
    --hash=sha256:00
    # via gunicorn==1.0
"""


def test_packages_are_those_of_the_lock() -> None:
    """Each with version and address, whatever it is for; what stands in comments is no package."""
    bill = json.loads(sbom.bill(sbom.pins(LOCK)))
    assert [(one["name"], one["version"], one["purl"], one.get("licenses")) for one in bill["components"]] == [
        ("absent", "1.0", "pkg:pypi/absent@1.0", None),
        ("flask", "3.1.3", "pkg:pypi/flask@3.1.3", [{"license": {"id": "BSD-3-Clause"}}]),
    ]
    product = bill["metadata"]["component"]
    assert (product["name"], product["version"]) == ("face-import", version("face-import"))
    (needs,) = (one["dependsOn"] for one in bill["dependencies"] if one["ref"] == product["bom-ref"])
    assert needs == ["pkg:pypi/absent@1.0", "pkg:pypi/flask@3.1.3"]


def test_the_real_one_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It fits CycloneDX's schema, has all that is pinned, and names a licence of all that is installed."""
    monkeypatch.setattr(sbom, "TARGET", tmp_path / "new" / "bill.json")
    sbom.main()
    text = sbom.TARGET.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)["components"]
    pinned = [line for line in (CHECKOUT / "requirements.txt").read_text().splitlines() if line[:1].isalnum()]
    assert {f"{one['name']}=={one['version']}" for one in found} == {line.split()[0] for line in pinned}
    only_elsewhere = {line.split("==")[0] for line in pinned if " ; " in line}
    assert {one["name"] for one in found if not one.get("licenses")} <= only_elsewhere
