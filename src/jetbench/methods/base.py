"""The interface of every method: what it needs for an operator, how many vectors that takes, and how it is built.

A method is one class in a neutral module of this folder, which imports no framework, and a subclass of it in
`jetbench.torch.methods` or `jetbench.jax.methods` that says how the backend evaluates a plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from jetbench.errors import Unsupported
from jetbench.operators.directions import RandomGroup
from jetbench.operators.problem import Problem


class Plan(Protocol):
    """What a method needs for a problem, made once: its directions, algebra or terms.

    Attributes:
        vectors: how many vectors of layer width pass through each linear layer, per datum.
        groups: the random directions that are drawn, in the order of the draws; () for the exact estimator.
    """

    @property
    def vectors(self) -> int: ...

    @property
    def groups(self) -> Sequence[RandomGroup]: ...


class Method(ABC):
    """A way to evaluate an operator of a network. The first line of its docstring describes it in lists.

    Attributes:
        name: as users write it.
        label: its name in tables and figures; made from `name` where it is empty.
        rank: where it stands in lists and figures, from the most vectors to the fewest.
        backends: the backends that have it.
        version: raised whenever its numbers may change, so that its measurements are taken again.
        package: the public package whose own code does the work; None for a method of this package.
        is_nested: whether it differentiates derivatives, so that a floor with its number of vectors means nothing.
        is_directional: whether its cost depends on the scheme by which directions are found.
    """

    name: ClassVar[str]
    label: ClassVar[str] = ""
    rank: ClassVar[int] = 1000
    backends: ClassVar[tuple[str, ...]] = ("torch", "jax")
    version: ClassVar[int] = 1
    package: ClassVar[str | None] = None
    is_nested: ClassVar[bool] = False
    is_directional: ClassVar[bool] = False

    @abstractmethod
    def plan(self, problem: Problem) -> Plan:
        """What the method needs for a problem.

        Raises:
            Unsupported: the method cannot do this problem; the message says why.
        """

    def unavailable(self) -> str | None:
        """A sentence that says why the method cannot be used on this machine; None if it can."""
        return None

    @abstractmethod
    def build(self, net: Callable, problem: Problem, plan: Any) -> Callable[[Any, Any], Mapping[str, Any]]:
        """A function of (x, draws) that returns output name → L_o net(x), by what `plan` returned for the problem."""

    def unsupported(self, problem: Problem) -> str | None:
        """The sentence that says why the method cannot do the problem; None if it can."""
        try:
            self.available_plan(problem)
        except Unsupported as refusal:
            return str(refusal)
        return None

    def available_plan(self, problem: Problem) -> Plan:
        """What `plan` returns, if the method can be used on this machine.

        Raises:
            Unsupported: it cannot, or not for this problem.
        """
        reason = self.unavailable()
        if reason is not None:
            raise Unsupported(reason)
        return self.plan(problem)

    def vectors(self, problem: Problem) -> int:
        """How many vectors of layer width the method pushes through each linear layer, per datum.

        Raises:
            Unsupported: the method cannot do this problem.
        """
        return self.plan(problem).vectors


class JetMethod(Method):
    """A method whose plan is an algebra, over which the backend's `evaluation` propagates jets."""

    evaluation: ClassVar[Callable[..., Any]]

    def build(self, net: Callable, problem: Problem, plan: Any) -> Callable[[Any, Any], Mapping[str, Any]]:
        return type(self).evaluation(net, problem, plan)
