"""docker-compose.yaml as Compose reads it, as far as our file uses the format."""

import re
from pathlib import Path
from typing import Any

import yaml

from face_import.settings import CHECKOUT

COMPOSE = CHECKOUT / "docker-compose.yaml"
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")
HOME = "/var/lib/face-import"


def load() -> dict[str, Any]:
    """The file with anchors and merges resolved, variables as they stand."""
    document: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return document


def fill(value: str) -> str:
    """A value with each variable's default; one without a default becomes `given`."""
    return VARIABLE.sub(lambda found: found["rest"] if found["kind"] == "-" else "given", value)


def services() -> dict[str, dict[str, Any]]:
    """Services by name, their environments filled in."""
    found: dict[str, dict[str, Any]] = load()["services"]
    for service in found.values():
        service["environment"] = {k: fill(str(v)) for k, v in service.get("environment", {}).items()}
    return found


def ours() -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: service for name, service in services().items() if service["image"] == "face-import"}


def example() -> dict[str, str]:
    """The variables of .env.example."""
    lines = Path(CHECKOUT / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
