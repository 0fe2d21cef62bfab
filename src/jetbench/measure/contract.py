"""The contract of a method, checked on every operator: right values and gradients, or a sentence that says why not.

Everything is computed in float64 on a small network and compared with the reference that measurements are checked by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from jetbench import operators
from jetbench.errors import JetbenchError, Unsupported
from jetbench.measure.backends import backend_module
from jetbench.measure.case import Case, facts, modes
from jetbench.measure.subject import Session
from jetbench.operators import estimators

TOLERANCE = 1e-8
MOST_DIFFERENTIATED = 2  # the largest order whose gradient is compared: nested derivatives take long to compile
RIGHT, UNSUPPORTED, WRONG = "ok", "unsupported", "wrong"


@dataclass(frozen=True)
class Outcome:
    """What came of one case.

    Attributes:
        status: "ok", "unsupported" or "wrong".
        reason: the sentence of a refusal, or what is wrong.
        vectors: that the method counts; None where it refuses.
    """

    case: Case
    status: str
    reason: str = ""
    vectors: int | None = None


def cases(method: str, backend: str) -> Iterator[Case]:
    """Each operator of the registry in the fewest dimensions, with each estimator that it has; three points each."""
    for name in operators.REGISTRY:
        smallest = operators.REGISTRY[name].min_dim
        for dim in (max(2, smallest), smallest):  # a Laplacian in one dimension shows little
            try:
                operators.make(name, dim=dim)
            except (ValueError, TypeError):
                continue
            break
        else:
            continue
        for kind in estimators.KINDS:
            plain = Case(
                operator=name,
                dim=dim,
                method=method,
                backend=backend,
                estimator=kind,
                samples=None if kind == "exact" else 2,
                widths=(7, 5),
                batch=3,
                mode=modes(backend)[0],
            )
            yield Case(**{**vars(plain), "outputs": facts(plain)[1] or 2})


def check(method: str, backend: str) -> Iterator[Outcome]:
    """The outcome of each case.

    Raises:
        JetbenchError: the backend has no such method, or is not installed.
    """
    session = backend_module(backend).open_session("cpu")
    for case in cases(method, backend):
        try:
            yield _outcome(session, case)
        except Unsupported as refusal:
            sentence = str(refusal)
            is_one = sentence[:1].isupper() and sentence.endswith(".")
            yield (
                Outcome(case, UNSUPPORTED, sentence)
                if is_one
                else Outcome(case, WRONG, f"The refusal is not a sentence: {sentence!r}")
            )
        except JetbenchError as error:
            yield Outcome(case, WRONG, str(error))
        except Exception as error:
            yield Outcome(case, WRONG, f"{type(error).__name__}: {error}")


def _outcome(session: Session, case: Case) -> Outcome:
    subject = session.prepare(case)
    vectors = subject.vectors
    if not isinstance(vectors, int) or isinstance(vectors, bool) or vectors < 1:
        return Outcome(case, WRONG, f"The plan must count at least one vector; it counts {vectors!r}.")
    error = subject.relative_error(subject.value())
    if not error <= TOLERANCE:
        return Outcome(case, WRONG, f"The value is off by {error:.1e} of the largest one.", vectors)
    if case.estimator == "exact" and subject.order <= MOST_DIFFERENTIATED:
        error = _distance(subject.gradient(), session.prepare(Case(**{**vars(case), "method": "nested"})).gradient())
        if not error <= TOLERANCE:
            return Outcome(case, WRONG, f"The gradient by the parameters is off by {error:.1e}.", vectors)
    return Outcome(case, RIGHT, vectors=vectors)


def _distance(found: Any, expected: Any) -> float:
    """max |found − expected| / max |expected| over all arrays of two like structures."""
    pairs = list(zip(_arrays(found), _arrays(expected), strict=True))
    scale = max((float(np.abs(right).max()) for _, right in pairs if right.size), default=0.0)
    gap = max((float(np.abs(left - right).max()) for left, right in pairs if right.size), default=0.0)
    return gap / scale if scale else gap


def _arrays(tree: Any) -> list[np.ndarray]:
    """The arrays of nested sequences, dictionaries and dataclasses; None, a gradient that vanishes, is one entry 0."""
    if tree is None:
        return [np.zeros(1)]
    if is_dataclass(tree):
        tree = {field.name: getattr(tree, field.name) for field in fields(tree)}
    if isinstance(tree, dict):
        return [array for key in sorted(tree) for array in _arrays(tree[key])]
    if isinstance(tree, (list, tuple)):
        return [array for item in tree for array in _arrays(item)]
    if not hasattr(tree, "shape"):  # a setting beside the parameters
        return []
    return [np.asarray(tree.detach().cpu() if hasattr(tree, "detach") else tree)]


def summary(method: str, backend: str, outcomes: Sequence[Outcome]) -> list[str]:
    """What is wrong, a line each, and a line that counts."""
    counts = {status: sum(each.status == status for each in outcomes) for status in (RIGHT, UNSUPPORTED, WRONG)}
    lines = [f"{each.case.label}: {each.reason}" for each in outcomes if each.status == WRONG]
    if not counts[RIGHT]:
        reasons = sorted({each.reason for each in outcomes if each.status == UNSUPPORTED})
        lines += [f"Nothing could be evaluated: {reason}" for reason in reasons[:4]]
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    return [*lines, f"{method} ({backend}): {total} of {len(outcomes)} cases."]
