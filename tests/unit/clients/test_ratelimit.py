"""Hints of hosts on how many requests they allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from face_import.clients.ratelimit import Allowance, allowance

NOTHING = Allowance(None, 0.0)
MOMENT = "1700000000"


def allowed(headers: dict[str, str]) -> Allowance:
    """What an answer with these headers allows."""
    return allowance(CIMultiDict(headers))


@pytest.mark.parametrize(
    ("policy", "pace"),
    [
        ('"default";q=100;w=10', 10),
        ('"default";w=10;q=100', 10),
        ('"burst";q=100;w=10, "steady";q=300;w=60', 5),
        ('"default"; q=4 ; w=1', 4),
        ("default;q=4;w=1", 4),
        ('"p";q=4;qu="requests";w=1;pk=:cHNk:', 4),
        ('"bytes";q=65535;qu="content-bytes";w=10', None),
        ('"bytes";q=10;qu="content-bytes";w=10, "p";q=4;w=1', 4),
        ('"calls";q=10;qu="concurrent-requests"', None),
        ("10;w=1, 50;w=60, 1000;w=3600", 50 / 60),
        ('100;w=10;burst=1000;comment="sliding window"', 10),
        ("100; w=10", 10),
        ('"default";q=100', None),
        ("100", None),
        ("100;w=0", None),
        ('"default";q=0;w=60', None),
        ('"default";q=-1;w=60', None),
        ('"default";q=many;w=60', None),
        ("\u0661\u0660;w=\u0661", None),
        ("", None),
        (";;;,,,===", None),
        ("q=1", None),
    ],
)
def test_a_policy_is_a_pace(policy: str, pace: float | None) -> None:
    """The slowest of several counts, parameters come in any order, and what counts no requests is no pace."""
    assert allowed({"RateLimit-Policy": policy}) == Allowance(pace, 0)


def test_the_first_drafts_have_the_policies_beside_the_limit() -> None:
    """The limit itself has no window, so it says nothing."""
    assert allowed({"RateLimit-Limit": "10, 10;w=1, 50;w=60"}).pace == pytest.approx(50 / 60)
    assert allowed({"RateLimit-Limit": "10"}) == NOTHING


def test_a_large_window_is_no_pace() -> None:
    """What an hour or eleven days have may be used up at once; a quota is no longer than a number."""
    assert allowed({"RateLimit-Policy": '"a";q=5000;w=3600'}) == NOTHING
    assert allowed({"RateLimit-Policy": '"a";q=1;w=999999'}) == NOTHING
    assert allowed({"RateLimit-Policy": f'"a";q=1;w={"9" * 900}'}) == NOTHING
    assert allowed({"RateLimit-Policy": f'"a";q={"9" * 900};w=1'}).pace == 9_999_999_999


@pytest.mark.parametrize(
    ("headers", "pause_s"),
    [
        ({"RateLimit": '"default";r=0;t=5'}, 5),
        ({"RateLimit": '"default";t=5;r=0'}, 5),
        ({"RateLimit": '"default";r=1;t=5'}, 0),
        ({"RateLimit": '"default";r=0'}, 0),
        ({"RateLimit": '"burst";r=10;t=1, "day";r=0;t=60'}, 60),
        ({"RateLimit": '"burst";r=0;t=1, "day";r=0;t=60, "year";r=1;t=600'}, 60),
        ({"RateLimit": "limit=100, remaining=0, reset=5"}, 5),
        ({"RateLimit": "limit=100,remaining=50,reset=5"}, 0),
        ({"RateLimit": "remaining=0"}, 0),
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "7"}, 7),
        ({"RateLimit-Remaining": "1", "RateLimit-Reset": "7"}, 0),
        ({"RateLimit-Reset": "7"}, 0),
        ({"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, 7),
        ({"x-ratelimit-remaining": " 0 ", "x-ratelimit-reset": "7.5"}, 7),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7, 7;w=60"}, 7),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": MOMENT}, 0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{MOMENT}000"}, 0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "-7"}, 0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "soon"}, 0),
        ({"X-RateLimit-Remaining": "-1", "X-RateLimit-Reset": "7"}, 0),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "86400"}, 3600),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * 900}, 0),
        ({"RateLimit": '"a";r=9;t=5', "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, 0),
        ({"RateLimit": '"a"', "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}, 7),
    ],
)
def test_nothing_left_is_a_pause(headers: dict[str, str], pause_s: float) -> None:
    """In each form, until the last policy that has nothing left has something again, and an hour at most."""
    assert allowed(headers)[:2] == (None, pause_s)


def test_the_smallest_number_that_is_left_counts() -> None:
    """Over all policies; a host that does not say leaves it open."""
    assert allowed({"RateLimit": '"burst";r=10;t=1, "day";r=3;t=60'}).left == 3
    assert allowed({"RateLimit": "limit=100, remaining=50, reset=5"}).left == 50
    assert allowed({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"}).left == 0
    assert allowed({"X-RateLimit-Limit": "10"}).left is None


def test_other_headers_say_nothing() -> None:
    """Most hosts say nothing."""
    assert allowed({"Content-Type": "image/jpeg", "Retry-After": "7"}) == NOTHING


FIELDS = ["RateLimit", "RateLimit-Policy", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]
FIELDS += ["X-RateLimit-Remaining", "X-RateLimit-Reset"]
PARTS = st.lists(st.sampled_from(["q=", "w=", "r=", "t=", "0", "9" * 9, ";", ",", '"', "remaining=", " ", "-", "é"]))
VALUES = st.one_of(PARTS.map("".join), st.binary(max_size=200).map(lambda field: field.decode("latin-1")))


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_whatever_a_host_says_is_bounded(headers: dict[str, str]) -> None:
    """Nothing raises, stops the fetches of a host for more than an hour, or goes back in time."""
    pace, pause_s, left = allowed(headers)
    assert left is None or left >= 0
    assert pace is None or 1 / 60 <= pace < 1e10
    assert 0 <= pause_s <= 3600
