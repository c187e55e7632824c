"""The console in process, as in the unit tests; here with running doubles beside it."""

from tests.unit.console.conftest import Create, Fail, Get, api_client, client, create, fail, get, make_app

__all__ = ["Create", "Fail", "Get", "api_client", "client", "create", "fail", "get", "make_app"]
