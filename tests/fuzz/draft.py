"""A program while it is written: its pieces, the order of its text, and what in it may change between two calls."""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field

from fuzz.places import ANYWHERE, IN_CLASSES, Stored, of_the_module, partial_argument

#: How the network is written, and what is then wrapped around it.
FORMS = ("function", "module", "object", "method", "slots")
WRAPPERS = ("", "", "", "lambda", "partial", "wraps")
Piece = Callable[["Draft", int], int]


@dataclass(frozen=True)
class Parameter:
    """A tensor that gradients are taken of.

    Attributes:
        name: unique in the program.
        outside: expression for it.
        write: statement that replaces it; empty where a module has registered it.
        owner: the module that has registered it, and `path` its name there.
    """

    name: str
    outside: str
    write: str = ""
    owner: str = ""
    path: str = ""


@dataclass(frozen=True)
class Plan:
    """What a network is made of; the same plan always gives the same text.

    Attributes:
        dim: coordinates of x.
        form, wrapper: of FORMS and WRAPPERS.
        pieces: name and seed of each, first to last.
        is_plain: everything is kept in variables of the module, as `shrink` tries.
        has_ending: whether a last layer follows.
    """

    dim: int
    form: str
    wrapper: str
    pieces: tuple[tuple[str, int], ...]
    is_plain: bool = False
    has_ending: bool = True


@dataclass
class Draft:
    """Collects what the pieces write.

    Attributes:
        form: see FORMS.
        wrapper: see WRAPPERS.
        is_plain: see `Plan`.
        rng: the present piece's random numbers.
        top: statements before the network.
        cells, keywords, partials: name → value of variables around it, of its default arguments, of a partial's.
        attributes, slots, init: of its class.
        body: statements that turn y into the next y.
        after: statements once the network exists.
        parameters: what gradients are taken of.
        changes: statements, each of which alters what the network computes.
        traits: what the judge must know: "author" (a derivative that is not that of the values), "cut" (a part that
            counts as a constant), "kinks", "doubtful" (PyTorch differentiates it wrongly to some order), "doubtful
            weights" (likewise by its parameters, to the second order), "mixed" (to be refused), "decides" (only one row
            may be given), "coarse" (parts of it in bfloat16, where x is float32).
    """

    form: str
    wrapper: str = ""
    is_plain: bool = False
    rng: random.Random = field(default_factory=random.Random)
    top: list[str] = field(default_factory=list)
    cells: dict[str, str] = field(default_factory=dict)
    keywords: dict[str, str] = field(default_factory=dict)
    partials: dict[str, str] = field(default_factory=dict)
    attributes: list[str] = field(default_factory=list)
    slots: list[str] = field(default_factory=list)
    init: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    parameters: list[Parameter] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    traits: set[str] = field(default_factory=set)
    count: int = 0

    @property
    def is_class(self) -> bool:
        return self.form != "function"

    def name(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def write(self, *lines: str) -> None:
        """Add statements of the network."""
        self.body.extend(textwrap.dedent(line).strip("\n") for line in lines)

    def define(self, text: str) -> None:
        """Add statements before the network."""
        self.top.append(textwrap.dedent(text).strip("\n"))

    def keep(self, value: str, stem: str = "a") -> Stored:
        """Keep a value at a random place that the network can read."""
        places = list(ANYWHERE)
        if self.is_class:
            places += [*IN_CLASSES] * 3
        if self.wrapper == "partial":
            places += [partial_argument] * 4
        place = self.rng.choice(places)
        return (of_the_module if self.is_plain else place)(self, self.name(stem), value)

    def number(self, low: float = 0.4, high: float = 1.6) -> str:
        """An expression for a plain number, kept somewhere; another number may take its place."""
        old, new = (round(self.rng.uniform(low, high), 2) for _ in range(2))
        stored = self.keep(repr(old), "a")
        self.changes.append(stored.write.format(repr(new if abs(new - old) > 0.1 else round(high + 0.3, 2))))
        return stored.read

    def constant(self, old: str, new: str) -> str:
        """An expression for any value, kept somewhere, and what may take its place."""
        stored = self.keep(old, "c")
        self.changes.append(stored.write.format(new))
        return stored.read

    def text(self) -> str:
        """The network's source: defines net, and owner where it is an object."""
        definition = self._class() if self.is_class else self._function("raw", "y")
        names = ["owner", "Net", "raw"] if self.is_class else ["raw"]
        if self.cells:
            definition = self._factory(definition, names)
        inner = {"function": "raw", "method": "owner.evaluate"}.get(self.form, "owner")
        lines = [*self.top, definition, *self._wrapped(inner), *self.after]
        return "\n".join(lines) + "\n"

    def _function(self, name: str, first: str) -> str:
        names = [*(f"{k}={v}" for k, v in self.keywords.items()), *self.partials]
        signature = ", ".join([first, *(["*", *names] if names else [])])
        body = textwrap.indent("\n".join([*self.body, "return y"]), "    ")
        return f"def {name}({signature}):\n{body}"

    def _class(self) -> str:
        method = {"module": "forward", "method": "evaluate"}.get(self.form, "__call__")
        attributes = list(self.attributes)
        if self.form == "slots":
            attributes.append(f"__slots__ = {tuple(self.slots)!r}")
        init = (["super().__init__()"] if self.form == "module" else []) + self.init
        if init:
            attributes.append("def __init__(self):\n" + textwrap.indent("\n".join(init), "    "))
        attributes.append(self._function(method, "self, y"))
        base = "(torch.nn.Module)" if self.form == "module" else ""
        text = f"class Net{base}:\n" + textwrap.indent("\n".join(attributes), "    ")
        return f"{text}\nowner = Net()\nraw = Net.{method}"

    def _factory(self, definition: str, names: list[str]) -> str:
        cells = list(self.cells)
        inside = [
            definition,
            f"def write(**new):\n    nonlocal {', '.join(cells)}\n"
            + "\n".join(f'    {name} = new.get("{name}", {name})' for name in cells),
            f"def read():\n    return dict({', '.join(f'{name}={name}' for name in cells)})",
            f"return {', '.join([*names, 'write', 'read'])}",
        ]
        text = f"def make({', '.join(cells)}):\n" + textwrap.indent("\n".join(inside), "    ")
        values = ", ".join(self.cells.values())
        return f"{text}\n{', '.join([*names, 'write', 'read'])} = make({values})"

    def _wrapped(self, inner: str) -> list[str]:
        if self.wrapper == "partial":
            partials = "".join(f", {name}={value}" for name, value in self.partials.items())
            return [f"net = functools.partial({inner}{partials})"]
        if self.wrapper == "lambda":
            return [f"inner = {inner}", "net = lambda points: inner(points)"]
        if self.wrapper == "wraps":
            return [
                f"inner = {inner}",
                "@functools.wraps(raw)\ndef net(*arguments, **keywords):\n    return inner(*arguments, **keywords)",
            ]
        return [f"net = {inner}"]
