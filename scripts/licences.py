"""Checks the licence of every package in the environment it is run in: `.venv/bin/python scripts/licences.py`.

Standard library only, and offline: a package says in its metadata what it is under.
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
LOOKED_AT = {
    "codespell": "GPL: a command of `make check`, which nothing of ours imports or ships",
    "psycopg": "LGPL: imported as it is, unchanged and replaceable, which asks nothing of our code",
    "psycopg-binary": "the same; its C part",
    "supervisor": "names its licence by a link: the Repoze licence, which is BSD's with a clause on trade marks",
    "text-unidecode": "under the Artistic License or the GPL, as one likes; not called by us but by Airflow",
}


def licence_of(package: Distribution) -> str:
    """What a package says, as an expression: `MIT`, `Apache-2.0 OR BSD-2-Clause`."""
    metadata = package.metadata
    classifiers = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
    named = [name for name in classifiers if name not in {"OSI Approved", "DFSG approved"}]
    # A text in the old field may be the whole licence; its first line is its name.
    text = (metadata.get("License") or "").strip().partition("\n")[0]
    return metadata.get("License-Expression") or " OR ".join(named) or text or "none is named"


def is_allowed(expression: str) -> bool:
    """Whether one of the alternatives has nothing in it that is not on the list."""
    return any(ALLOWED.issuperset(alternative.split(" AND ")) for alternative in expression.split(" OR "))


def main() -> None:
    """Print what is not allowed and exit with 1, or say how many packages are."""
    found = {package.metadata["Name"]: licence_of(package) for package in distributions()}
    found.pop("face-import", None)
    wrong = {n: licence for n, licence in found.items() if n not in LOOKED_AT and not is_allowed(licence)}
    for name, licence in sorted(wrong.items()):
        print(f"licence of {name}: {licence}; read it, then list it in scripts/licences.py or do without the package")
    if wrong:
        sys.exit(1)
    print(f"licences: {len(found)} packages, {len(LOOKED_AT.keys() & found)} of them looked at by hand")


if __name__ == "__main__":
    main()
