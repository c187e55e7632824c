"""What a host says about how many requests it allows: the IETF's RateLimit fields, and the older X-RateLimit ones."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_LONGEST_S = 3600.0
_LONGEST_FIELD = 1000
_LONGEST_WINDOW_S = 60
"""A larger window has a budget, not a pace: it may be used up at once, and then the host says that nothing is left."""
_NUMBER = re.compile(r"\d{1,10}", re.ASCII)
_MOMENT = 1_000_000_000
"""A reset above this is a time since the epoch, which says nothing without knowing the host's clock."""
Parameters = dict[str, str]


class Allowance(NamedTuple):
    """What a host allows from now on.

    Attributes:
        pace: requests a second; None if it does not say.
        pause_s: seconds until the next request, because none is left; 0 if some are.
        left: requests that are left; None if it does not say.
    """

    pace: float | None
    pause_s: float
    left: int | None = None


def allowance(headers: Mapping[str, str]) -> Allowance:
    """Return what the headers of an answer allow; contradictory or unknown forms allow everything.

    Policies come as `"name";q=100;w=60` (draft 8 and later) or `100;w=60` (before), in `RateLimit-Policy` or in
    `RateLimit-Limit`; what is left as `"name";r=0;t=5`, as `limit=100, remaining=0, reset=5` (draft 7), or in a field
    of its own each.
    """
    policies = _items(headers.get("RateLimit-Policy", "")) + _items(headers.get("RateLimit-Limit", ""))
    paces = [pace for policy in policies if (pace := _pace(policy))]
    known = _left(headers)
    pause = max((reset for left, reset in known if left == 0 and reset < _MOMENT), default=0)
    left = min((left for left, _ in known), default=None)
    return Allowance(min(paces, default=None), min(float(pause), _LONGEST_S), left)


def _left(headers: Mapping[str, str]) -> list[tuple[int, int]]:
    """What is left and the seconds until there is more, by policy; the first form that says so counts."""
    for form in _forms(headers):
        if known := [(left, reset or 0) for left, reset in form if left is not None]:
            return known
    return []


def _forms(headers: Mapping[str, str]) -> Iterator[list[tuple[int | None, int | None]]]:
    """What is left and the seconds until there is more, by policy, in each form in which a host may say so."""
    items = _items(headers.get("RateLimit", ""))
    yield [(_number(item.get("r")), _number(item.get("t"))) for item in items]
    together = {name: value for item in items for name, value in item.items()}
    yield [(_number(together.get("remaining")), _number(together.get("reset")))]
    for prefix in ("RateLimit", "X-RateLimit"):
        yield [(_number(headers.get(f"{prefix}-Remaining")), _number(headers.get(f"{prefix}-Reset")))]


def _pace(policy: Parameters) -> float | None:
    """Requests a second of a policy, unless it counts bytes or the like."""
    quota, window = _number(policy.get("q", policy.get(""))), _number(policy.get("w"))
    if not quota or not window or window > _LONGEST_WINDOW_S or policy.get("qu", "requests").strip('"') != "requests":
        return None
    return quota / window


def _items(field: str) -> list[Parameters]:
    """The items of a list, as parameters by name; a value without a name has the name ''."""
    return [dict(map(_parameter, item.split(";"))) for item in field[:_LONGEST_FIELD].split(",")]


def _parameter(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    return (name.strip().lower(), value.strip()) if equals else ("", name.strip())


def _number(value: str | None) -> int | None:
    """The number that a value begins with."""
    found = _NUMBER.match(value.strip()) if value else None
    return int(found[0]) if found else None
