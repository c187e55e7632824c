"""Writes a bill of materials (CycloneDX 1.6) of every package that the product is pinned to: `make sbom`.

Offline: packages and versions are those of requirements.txt, and licences what the installed ones declare. A package
that another version of Python has in another version is there with both. Hashes are in requirements.txt, one for each
file that may be installed.
"""

import re
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from scripts.licences import licence_of

CHECKOUT = Path(__file__).resolve().parents[1]
TARGET = CHECKOUT / "build" / "face-import.cdx.json"


def main() -> None:
    """Write the file, and say where it is."""
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(bill(pins((CHECKOUT / "requirements.txt").read_text())))
    print(TARGET)


def pins(lock: str) -> list[tuple[str, str]]:
    """Name and version of each package that a requirements file pins."""
    return list(re.findall(r"^([\w.-]+)==([^\s;]+)", lock, re.MULTILINE))


def bill(versions: list[tuple[str, str]]) -> str:
    """The bill as JSON: the product, and that it depends on each of these."""
    licence = LicenseFactory().make_from_string("Apache-2.0")
    product = Component(
        name="face-import", version=version("face-import"), type=ComponentType.APPLICATION, licenses=[licence]
    )
    packages = [_component(name, number) for name, number in versions]
    bom = Bom(components=packages, metadata=BomMetaData(component=product))
    bom.register_dependency(product, packages)
    return str(JsonV1Dot6(bom).output_as_string(indent=2)) + "\n"


def _component(name: str, number: str) -> Component:
    purl = PackageURL("pypi", name=name, version=number)
    return Component(name=name, version=number, purl=purl, bom_ref=str(purl), licenses=_licences(name))


def _licences(name: str) -> list[object]:
    """What the package declares; nothing for one that is not for this platform, and so not installed."""
    try:
        declared = licence_of(distribution(name))
    except PackageNotFoundError:
        return []
    return [LicenseFactory().make_from_string(declared)]


if __name__ == "__main__":
    main()
