"""A home and free ports for every test, as in the unit tests; here for a whole stack."""

from tests.unit.stack.conftest import _no_settings_of_the_caller, layout, settings

__all__ = ["_no_settings_of_the_caller", "layout", "settings"]
