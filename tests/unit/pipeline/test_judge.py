"""One function judges: a row that is imported under limits, and the ledger's measurements under any others."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from face_import.contract import Code, Reason
from face_import.domain.limits import Missing, judge
from face_import.domain.models import WHOLE, Face, Limits, Measurements, Pose, Scope
from face_import.domain.uri import DataUri
from face_import.pipeline import row
from face_import.pipeline.adding import Verdict
from face_import.pipeline.row import RowImporter

angles = st.one_of(st.integers(-40, 40).map(float), st.floats(-180, 180), st.sampled_from([-30.000000000000004, -0.0]))
poses = st.none() | st.builds(Pose, angles, angles, angles)
sizes = st.integers(0, 6)
blurs = st.integers(0, 100)
degrees = st.just(0) | st.integers(0, 40)
limits = st.builds(Limits, degrees, degrees, degrees, sizes, sizes, st.just(0) | blurs, st.integers(0, 1))


def imported(
    limits: Limits, face: Face, pose: Pose | None, blur: int, faces: int, *, scope: Scope = WHOLE
) -> tuple[Measurements, Verdict | None]:
    """Measure a face as an import does; pose and blur are what it would find."""

    async def told(*_: object) -> Pose | None:
        return pose

    async def at_once(call: Callable[[], Awaitable[Any]]) -> Any:
        return await call()

    async def aside(work: Awaitable[Any]) -> Any:
        return await work

    away: Any = None
    info: Any = SimpleNamespace(pose=told)
    outage: Any = SimpleNamespace(call=at_once)
    gate: Any = SimpleNamespace(aside=aside)
    importer = RowImporter(limits, scope, 1, away, info, outage, away, away, away, away, gate, away)
    with patch.object(row, "blur_of", lambda _data, _box: blur):
        return asyncio.run(importer._measure(b"", DataUri(""), face, faces))


Run = Callable[..., tuple[Measurements, Verdict | None]]


@st.composite
def runs(draw: st.DrawFn) -> tuple[Measurements, Run]:
    """All measurements of a face, and an import of it under limits."""
    width, height, pose, blur, faces = draw(sizes), draw(sizes), draw(poses), draw(blurs), draw(st.integers(1, 2))
    face = Face(((0, 0), (width, 0), (width, height), (0, height)), 0.5)
    angle = {} if pose is None else {"pitch": pose.pitch, "yaw": pose.yaw, "roll": pose.roll}
    everything = Measurements(faces, 0.5, width, height, blur=blur, pose_unknown=pose is None, **angle)
    return everything, lambda limits, scope=WHOLE: imported(limits, face, pose, blur, faces, scope=scope)


@given(runs(), limits, limits)
def test_what_is_judged_is_what_an_import_does(of: tuple[Measurements, Run], own: Limits, others: Limits) -> None:
    """Of what an import under some limits measured, the verdict under any others is theirs, or that more is needed."""
    everything, run = of
    measured, verdict = run(own)
    assert judge(everything, own) == judge(measured, own) == (verdict and (verdict.code, verdict.message))
    _, then = run(others)
    found = judge(measured, others)
    assert isinstance(found, Missing) or found == (then and (then.code, then.message))


@given(runs(), limits)
def test_nothing_is_measured_in_vain(of: tuple[Measurements, Run], own: Limits) -> None:
    """Without the last measurement that an import made, it would not have had its verdict."""
    measured, _ = of[1](own)
    posed = measured.pose_unknown or measured.yaw is not None
    if measured.blur is not None:
        assert judge(replace(measured, blur=None), own) is Missing.BLUR
    elif posed:
        unposed = replace(measured, pitch=None, yaw=None, roll=None, pose_unknown=False)
        assert judge(unposed, own) is Missing.POSE


@given(runs(), limits, st.sampled_from([Scope(measure=1), Scope(dry_run=1)]))
def test_all_is_measured_on_request(of: tuple[Measurements, Run], own: Limits, scope: Scope) -> None:
    """Whatever the limits are, and the verdict is the same."""
    everything, run = of
    measured, verdict = run(own, scope)
    assert measured == everything
    assert verdict == run(own)[1]


@given(runs(), limits)
def test_only_a_verdict_for_an_unknown_pose_says_so(of: tuple[Measurements, Run], own: Limits) -> None:
    """A size or blur beside an unknown pose has no such reason."""
    measured, verdict = of[1](own)
    said = verdict is not None and verdict.reason is Reason.POSE_UNKNOWN
    of_pose = verdict is not None and verdict.code in {Code.PITCH, Code.YAW, Code.ROLL}
    assert said == (of_pose and measured.pose_unknown)
