"""A terminal for the command, as in the integration tests."""

from tests.integration.cli.conftest import on_terminal

__all__ = ["on_terminal"]
