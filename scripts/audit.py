"""Checks every pinned package for known vulnerabilities: `.venv/bin/python scripts/audit.py`.

Runs pip-audit, which needs the package index. Offline, packages are reported as not checked, and `make check` passes.
"""

import json
import subprocess
import sys
from typing import Any

FILES = ("requirements.txt", "requirements-dev.txt", "scripts/uv-requirements.txt")
NO_NETWORK = ("ConnectionError", "ConnectTimeout", "ReadTimeout", "ProxyError", "Max retries exceeded")


def asked(file: str) -> subprocess.CompletedProcess[str]:
    """Run pip-audit on a file of pinned requirements."""
    options = ("--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json")
    command = [sys.executable, "-m", "pip_audit", "--requirement", file, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def findings(answer: dict[str, Any]) -> tuple[list[str], int, int]:
    """Vulnerabilities, one per line, and the numbers of packages known and unknown to the index."""
    packages = answer["dependencies"]
    known = [package for package in packages if "skip_reason" not in package]
    lines = [
        f"{package['name']} {package['version']}: {found['id']}, fixed in {', '.join(found['fix_versions']) or 'none'}"
        for package in known
        for found in package["vulns"]
    ]
    return lines, len(known), len(packages) - len(known)


def main() -> int:
    """Print the findings for each file; returns 1 if there are any, 2 if pip-audit failed."""
    status = 0
    for file in FILES:
        said = asked(file)
        if not said.stdout.strip():
            if any(sign in said.stderr for sign in NO_NETWORK):
                print(f"audit: {file}: NOT CHECKED, the package index is unavailable")
                continue
            print(f"audit: {file}: pip-audit failed: {said.stderr.strip()[-2000:]}", file=sys.stderr)
            return 2
        lines, known, unknown = findings(json.loads(said.stdout))
        for line in lines:
            print(f"audit: {file}: {line}", file=sys.stderr)
            status = 1
        aside = f", {unknown} NOT CHECKED: unknown to this index" if unknown else ""
        print(f"audit: {file}: {known} packages, {len(lines)} known vulnerabilities{aside}")
    return status


if __name__ == "__main__":
    sys.exit(main())
