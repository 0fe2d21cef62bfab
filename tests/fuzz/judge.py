"""Runs a program with jetbench and without it, and says how the two compare."""

from __future__ import annotations

import contextlib
import linecache
import random
import sys
import traceback
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import jetbench
from fuzz.program import Case, Program
from jetbench.errors import JetbenchError, NetworkFailed

SOURCE = str(Path(jetbench.__file__).parent)
#: How many programs of a number are tried until one runs without jetbench.
ATTEMPTS = 20
NAME = "fuzz_program"
#: The result of a program that is to be refused.
REFUSAL = "a refusal"


class Backend(Protocol):
    """What a framework lends to the judge."""

    def draw(self, rng: random.Random) -> Case: ...

    def program(self, case: Case) -> Program | None: ...

    def pristine(self) -> contextlib.AbstractContextManager:
        """Restores every setting of the framework at its end."""

    def expected(self, case: Case, program: Program) -> tuple[object, dict]:
        """The right result and the namespace that led to it; raises where the program does not run without jetbench."""

    def differs(self, case: Case, traits: set[str], found: object, wanted: object) -> str | None:
        """How they differ, or None."""

    def changed(self, space: dict, names: set[str], reference: dict) -> str | None:
        """What is not as it should be after the run in what the network's names hold, or None."""

    def is_network_at_fault(self, space: dict) -> bool:
        """Whether the network itself cannot be called with plain points, as NetworkFailed says."""


@dataclass(frozen=True)
class Verdict:
    """How a program came out.

    Attributes:
        outcome: "ok", "refused", "wrong", "crashed" or "invalid" (it does not run without jetbench).
        reason: a sentence.
        program: its text.
        case: what it is made of.
    """

    outcome: str
    reason: str
    program: Program | None
    case: Case

    @property
    def is_failure(self) -> bool:
        return self.outcome in ("wrong", "crashed")


def execute(case: Case, text: str) -> dict:
    """Run a text in a new namespace, that of a module or one without a name."""
    module = types.ModuleType(NAME)
    space = module.__dict__ if case.is_named else {}
    if case.is_named:
        sys.modules[NAME] = module
    resume(text, space)
    return space


def resume(text: str, space: dict) -> None:
    """Run more text in a namespace; tracebacks and `inspect` find its lines."""
    file = f"<{NAME} {hash(text)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    try:
        exec(compile(text, file, "exec"), space)
    finally:
        if len(linecache.cache) > 2000:
            linecache.clearcache()


def _refusal(error: BaseException) -> bool:
    """Whether an exception is a sentence of jetbench about what it does not do."""
    if isinstance(error, JetbenchError):
        return True
    last = traceback.extract_tb(error.__traceback__)[-1]
    is_raised_here = last.filename.startswith(SOURCE) and (last.line or "").startswith("raise ")
    return isinstance(error, (TypeError, ValueError)) and is_raised_here


def _where(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(SOURCE)]
    place = f" at {Path(frames[-1].filename).relative_to(SOURCE)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}: {' '.join(str(error).split())[:240]}"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def judge(backend: Backend, case: Case) -> Verdict:
    """Run one case."""
    program = backend.program(case)
    if program is None:
        return Verdict("invalid", "The use does not fit the network.", None, case)
    with _quiet():
        try:
            with backend.pristine():
                wanted, reference = backend.expected(case, program)
        except Exception as error:
            return Verdict("invalid", f"{type(error).__name__}: {error}"[:300], program, case)
        outcome, reason = _compared(backend, case, program, wanted, reference)
    return Verdict(outcome, reason, program, case)


def _compared(backend: Backend, case: Case, program: Program, wanted: object, reference: dict) -> tuple[str, str]:
    space: dict = {}
    names: set[str] = set()
    with backend.pristine():
        try:
            space = execute(case, program.network)
            names = set(space)
            resume(program.operator, space)
            resume(f"{program.setup}\n{program.action}", space)
        except Exception as error:
            if isinstance(error, NetworkFailed) and not backend.is_network_at_fault(space):
                return "crashed", f"It says that the network fails, which it does not. {_where(error)}"
            if not _refusal(error):
                return "crashed", _where(error)
            return ("ok", "") if wanted is REFUSAL else ("refused", _where(error))
        if wanted is REFUSAL:
            return "wrong", "The rows depend on each other or on chance, and nothing is said."
        try:
            difference = backend.differs(case, program.traits, space["result"], wanted)
        except Exception as error:
            return "crashed", f"The result cannot be used. {_where(error)}"
        if difference is not None:
            return "wrong", difference
    with backend.pristine():
        try:
            change = backend.changed(space, names, reference)
        except Exception as error:
            return "crashed", f"The network cannot be called afterwards. {_where(error)}"
    return ("ok", "") if change is None else ("wrong", change)


def numbered(backend: Backend, number: int) -> Verdict:
    """The case of this number: the first of its random cases that runs without jetbench."""
    for attempt in range(ATTEMPTS):
        verdict = judge(backend, backend.draw(random.Random(f"{number}/{attempt}")))
        if verdict.outcome != "invalid":
            break
    return verdict
