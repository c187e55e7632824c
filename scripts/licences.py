"""Checks the licence of every package in the environment it is run in: `.venv/bin/python scripts/licences.py`.

Standard library only, and offline: packages declare their licence in their metadata.
"""

import sys
from importlib.metadata import Distribution, distributions

ALLOWED = {
    "0BSD",
    "3-Clause BSD License",
    "Apache Software License",
    "Apache-2.0",
    "BSD License",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Boost Software License",
    "CC0-1.0",
    "ISC",
    "ISC License (ISCL)",
    "MIT",
    "MIT License",
    "MIT-0",
    "MIT-CMU",
    "MPL-2.0",  # copyleft of single files, which we do not change
    "Mozilla Public License 2.0 (MPL 2.0)",
    "PSF-2.0",
    "Python Software Foundation License",
    "The Unlicense (Unlicense)",
    "Zlib",
}
REVIEWED = {
    "codespell": "GPL: a command of `make check`; none of our code imports or ships it",
    "kubernetes-validate": "Apache License 2.0, by its licence file; only a test uses it",
    "pillow_heif": "BSD; its wheels bundle libheif and libde265 (LGPL) and the encoder x265 (GPL), which we never call",
    "psycopg": "LGPL: used unmodified and replaceable, which places no conditions on our code",
    "psycopg-binary": "the C part of psycopg, as above",
    "supervisor": "declares its licence by a link: the Repoze licence, which is BSD's with a trade mark clause",
    "text-unidecode": "Artistic License or GPL, at the user's choice; used only by Airflow",
}


def licence_of(package: Distribution) -> str:
    """A package's declared licence as an expression: `MIT`, `Apache-2.0 OR BSD-2-Clause`."""
    metadata = package.metadata
    classifiers = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [name for name in classifiers if name not in {"OSI Approved", "DFSG approved"}]
    # The old field may contain the whole licence text; its first line is the name.
    text = (metadata.get("License") or "").strip().partition("\n")[0]
    return metadata.get("License-Expression") or " OR ".join(named) or text or "none is named"


def is_allowed(expression: str) -> bool:
    """Whether all parts of at least one alternative are on the list."""
    return any(ALLOWED.issuperset(alternative.split(" AND ")) for alternative in expression.split(" OR "))


def main() -> None:
    """Print licences that are not allowed and exit with 1, or print the number of packages."""
    found = {package.metadata["Name"]: licence_of(package) for package in distributions()}
    found.pop("face-import", None)
    wrong = {n: licence for n, licence in found.items() if n not in REVIEWED and not is_allowed(licence)}
    for name, licence in sorted(wrong.items()):
        print(f"licence of {name}: {licence}; review it, then list it in scripts/licences.py or remove the package")
    if wrong:
        sys.exit(1)
    print(f"licences: {len(found)} packages, {len(REVIEWED.keys() & found)} of them reviewed by hand")


if __name__ == "__main__":
    main()
