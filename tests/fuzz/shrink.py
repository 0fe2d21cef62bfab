"""Makes a failing program small: fewer pieces, plainer forms, lower orders, as long as it fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from fuzz.judge import Backend, Verdict, judge
from fuzz.program import Case

#: Programs tried at most for one failure.
MOST = 150


def _smaller(case: Case) -> Iterator[Case]:
    plan = case.plan
    for place in range(len(plan.pieces)):
        yield replace(case, plan=replace(plan, pieces=plan.pieces[:place] + plan.pieces[place + 1 :]))
    if len(case.outputs) > 1:
        yield from (replace(case, outputs=(terms,)) for terms in case.outputs)
    for place, terms in enumerate(case.outputs):
        for kept in terms if len(terms) > 1 else ():
            yield replace(case, outputs=(*case.outputs[:place], (kept,), *case.outputs[place + 1 :]))
    if case.rows > 1:
        yield replace(case, rows=1)
    if plan.wrapper:
        yield replace(case, plan=replace(plan, wrapper=""))
    if plan.form != "function":
        yield replace(case, plan=replace(plan, form="function"))
    if not plan.is_plain:
        yield replace(case, plan=replace(plan, is_plain=True))
    if plan.has_ending:
        yield replace(case, plan=replace(plan, has_ending=False))
    if not case.is_named:
        yield replace(case, is_named=True)
    for use in ("value", "parameter gradient", "grad", "a change"):
        if use != case.use and case.precision == "float64":
            yield replace(case, use=use)
        elif use == case.use:
            break
    for low in ("collapsed", "taylor"):
        if case.method not in ("nested", "nested_reverse", "collapsed"):
            yield replace(case, method=low)


def shrunk(backend: Backend, verdict: Verdict) -> Verdict:
    """The smallest program found that has the same outcome and kind of reason."""
    tries, best = 0, verdict
    kind = kind_of(verdict)
    progress = True
    while progress and tries < MOST:
        progress = False
        for case in _smaller(best.case):
            tries += 1
            try:
                found = judge(backend, case)
            except Exception:
                continue
            if kind_of(found) == kind:
                best, progress = found, True
                break
            if tries >= MOST:
                break
    return best


def kind_of(verdict: Verdict) -> tuple[str, str]:
    """Outcome, and what is said without its numbers."""
    reason = "left with" in verdict.reason or "afterwards" in verdict.reason if verdict.outcome == "wrong" else ""
    if verdict.outcome in ("crashed", "refused"):
        reason = re.sub(r"[^:]*:\d+|\d+|\(.*?\)", "", verdict.reason)[-60:]
    return verdict.outcome, str(reason)
