"""The benchmarks are run by hand: here they are only loaded, so that a renamed part of the product is noticed."""

from importlib import import_module

import pytest

from tests.real import CHECKOUT

ELSEWHERE = {"__main__", "faces_direct", "img2dataset_peer"}
"""They run in environments of their own, or at once."""


@pytest.mark.parametrize("name", sorted({path.stem for path in (CHECKOUT / "bench").glob("*.py")} - ELSEWHERE))
def test_a_benchmark_can_be_loaded(name: str) -> None:
    """All that it imports is there."""
    assert import_module(f"bench.{name}")
