"""Asks the package index for known vulnerabilities of every pinned package: `.venv/bin/python scripts/audit.py`.

pip-audit does the asking. Offline it can tell nothing, and `make check` has to run without a network: this says so.
"""

import json
import subprocess
import sys
from typing import Any

FILES = ("requirements.txt", "requirements-dev.txt", "face_services/requirements.txt", "scripts/uv-requirements.txt")
NO_NETWORK = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "Max retries exceeded")


def asked(file: str) -> subprocess.CompletedProcess[str]:
    """What pip-audit says of a file of pinned requirements."""
    options = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
    command = [sys.executable, "-m", "pip_audit", "--requirement", file, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def findings(answer: dict[str, Any]) -> tuple[list[str], int, int]:
    """Lines on vulnerabilities, and how many packages the index knows and does not know."""
    packages = answer["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'none'}"
        for package in known
        for found in package["vulns"]
    ]
    return lines, len(known), len(packages) - len(known)


def main() -> int:
    """Print what is known of each file; returns 1 if there is anything, 2 if pip-audit failed."""
    status = 0
    for file in FILES:
        said = asked(file)
        if not said.stdout.strip():
            if any(sign in said.stderr for sign in NO_NETWORK):
                print(f"audit: {file}: NOT CHECKED, the package index cannot be reached")
                continue
            print(f"audit: {file}: pip-audit failed: {said.stderr.strip()[-2000:]}", file=sys.stderr)
            return 2
        lines, known, unknown = findings(json.loads(said.stdout))
        for line in lines:
            print(f"audit: {file}: {line}", file=sys.stderr)
            status = 1
        aside = f", {unknown} NOT CHECKED: this index knows nothing of them" if unknown else ""
        print(f"audit: {file}: {known} packages, {len(lines)} known vulnerabilities{aside}")
    return status


if __name__ == "__main__":
    sys.exit(main())
