"""The page of an import's limits: its measurements, and what would become of its rows under other limits."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from flask import Response, g, render_template, request
from pydantic import ValidationError

from api_shim import auditing
from api_shim.access import load_task
from api_shim.app_context import app_context
from api_shim.forms import LimitsForm
from face_console.distributions import distributions
from face_console.snapshot import meaning
from face_console.task import done
from face_console.texts import field_problem
from face_console.view import blueprint, by_htmx
from face_import.catalogue import Changed, ImportTask, measured
from face_import.catalogue.measured import Judged
from face_import.contract import Code, TaskState
from face_import.domain.models import LIMITS, Limits
from face_import.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Verdict:
    """What would become of an import's handled rows.

    Attributes:
        task: the import.
        judged: the rows under other limits.
        by_code: the rows as they are, by code.
    """

    task: ImportTask
    judged: Judged
    by_code: dict[int, int]

    @property
    def gained(self) -> int:
        """Rows that would be imported beyond those that are."""
        return self.judged.within - self.by_code.get(Code.OK, 0)

    @property
    def failed(self) -> int:
        """Rows that would fail."""
        return self.judged.handled - self.judged.within - self.judged.unmeasured

    @property
    def rows(self) -> list[tuple[int, str, int, int]]:
        """Each code with its meaning, and its number of rows now and then."""
        judged = self.judged
        then = {int(Code.OK): judged.within} | judged.others
        for code, rows in judged.errors.items():
            then[code] = then.get(code, 0) + rows
        codes = sorted(then.keys() | self.by_code)
        return [(code, meaning(self.task, code), self.by_code.get(code, 0), then.get(code, 0)) for code in codes]


@blueprint.get("/tasks/<task_id>/limits")
def show_limits(task_id: str) -> tuple[str, int]:
    """The measurements with the limits that the query names, or the import's own; htmx asks for the verdict alone.

    With `then=apply`, or `then=real` for a dry run that is made a real import, the verdict says what these limits would
    do to the import, and asks for confirmation.
    """
    task, catalogue = load_task(task_id), app_context().catalogue
    own = task.config.limits
    typed, limits, problems = _typed(request.args, own)
    ended = not problems and task.state in {TaskState.STOPPED, TaskState.COMPLETED}
    offers = {"apply": ended and limits != own, "real": ended and task.config.scope.dry_run}
    then = request.args.get("then", "")
    changed = Changed(asdict(limits), real=then == "real")
    known = {
        "task": task,
        "problems": problems,
        "verdict": None if problems else _verdict(task, limits),
        "offers": offers,
        "changed": changed,
        "affected": catalogue.new_limits.count(task_id, changed) if offers.get(then) else None,
    }
    status = 400 if problems else 200
    if by_htmx():
        return render_template("verdict.html", **known), status
    charts = distributions(catalogue.engine, task_id, own)
    return render_template("task_limits.html", typed=typed, limits=asdict(limits), charts=charts, **known), status


@blueprint.post("/tasks/<task_id>/limits")
def apply_limits(task_id: str) -> Response | tuple[str, int]:
    """Give an ended import the limits of the form, or make a dry run real with them, and show the import."""
    _, limits, problems = _typed(request.form, g.task.config.limits)
    for name, problem in problems.items():
        raise InvalidRequest(f"{name}: {problem}", field=name)
    changed = Changed(asdict(limits), real=request.form.get("real") == "1")
    auditing.details(**asdict(limits), **({"dry_run": 0} if changed.real else {}))
    return done(task_id, lambda: app_context().control.limit(task_id, changed))


def _typed(form: Mapping[str, str], own: Limits) -> tuple[dict[str, object], Limits, dict[str, str]]:
    """The fields of a form, absent ones with the import's own limits; the limits, or its own and problems by field."""
    typed = asdict(own) | {name: form[name] for name in LIMITS if name in form}
    try:
        return typed, Limits(**LimitsForm.model_validate(typed).model_dump()), {}
    except ValidationError as error:
        return typed, own, {str(problem["loc"][0]): field_problem(problem) for problem in error.errors()}


def _verdict(task: ImportTask, limits: Limits) -> Verdict:
    catalogue = app_context().catalogue
    judged = measured.judged(catalogue.engine, task.id, task.config.limits, limits)
    return Verdict(task, judged, catalogue.ledger.progress(task.id).by_code)
