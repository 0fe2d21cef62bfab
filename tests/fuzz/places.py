"""Where a program keeps a number, a tensor or a function: everything that Python lets a network read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fuzz.draft import Draft


@dataclass(frozen=True)
class Stored:
    """A value that the network reads.

    Attributes:
        name: unique in the program.
        read: expression inside of the network.
        outside: expression outside of it.
        write: statement that replaces it, with {} for the new value.
    """

    name: str
    read: str
    outside: str
    write: str


def of_the_module(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(f"{name} = {value}")
    return Stored(name, name, name, f"{name} = {{}}")


def _attribute(holder: str, name: str) -> Stored:
    return Stored(name, f"{holder}.{name}", f"{holder}.{name}", f"{holder}.{name} = {{}}")


def class_attribute(draft: Draft, name: str, value: str) -> Stored:
    holder = f"Settings_{name}"
    draft.top.append(f"class {holder}:\n    {name} = {value}")
    return _attribute(holder, name)


def inherited(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(
        f"class Base_{name}:\n    {name} = {value}\nclass Derived_{name}(Base_{name}):\n    pass\n"
        f"object_{name} = Derived_{name}()"
    )
    stored = _attribute(f"Base_{name}", name)
    return Stored(name, f"object_{name}.{name}", stored.outside, stored.write)


def instance_attribute(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(f"settings_{name} = types.SimpleNamespace({name}={value})")
    return _attribute(f"settings_{name}", name)


def slots(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(
        f'class Slots_{name}:\n    __slots__ = ("{name}",)\n'
        f"slots_{name} = Slots_{name}()\nslots_{name}.{name} = {value}"
    )
    return _attribute(f"slots_{name}", name)


def dataclass_field(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(
        f"@dataclasses.dataclass(eq=False)\nclass Fields_{name}:\n    {name}: object\n"
        f"fields_{name} = Fields_{name}({value})"
    )
    return _attribute(f"fields_{name}", name)


def property_of_object(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(
        f"class Hidden_{name}:\n    @property\n    def {name}(self):\n        return self._{name}\n"
        f"hidden_{name} = Hidden_{name}()\nhidden_{name}._{name} = {value}"
    )
    place = f"hidden_{name}._{name}"
    return Stored(name, f"hidden_{name}.{name}", place, f"{place} = {{}}")


def _item(holder: str, key: str, name: str) -> Stored:
    place = f"{holder}[{key}]"
    return Stored(name, place, place, f"{place} = {{}}")


def dictionary(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(f'items_{name} = {{"{name}": {value}}}')
    return _item(f"items_{name}", f'"{name}"', name)


def listed(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(f"list_{name} = [None, {value}]")
    return _item(f"list_{name}", "1", name)


def deep(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(f'deep_{name} = {{"a": [{{"b": [[{{"c": [[[[{value}]]]]}}]]}}]}}')
    return _item(f'deep_{name}["a"][0]["b"][0][0]["c"][0][0][0]', "0", name)


def python_module(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(f'module_{name} = types.ModuleType("module_{name}")\nmodule_{name}.{name} = {value}')
    return _attribute(f"module_{name}", name)


def context_variable(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(f'context_{name} = contextvars.ContextVar("{name}")\ncontext_{name}.set({value})')
    read = f"context_{name}.get()"
    return Stored(name, read, read, f"context_{name}.set({{}})")


def function_attribute(draft: Draft, name: str, value: str) -> Stored:
    draft.top.append(f"def give_{name}():\n    return give_{name}.{name}\ngive_{name}.{name} = {value}")
    place = f"give_{name}.{name}"
    return Stored(name, f"give_{name}()", place, f"{place} = {{}}")


def cell(draft: Draft, name: str, value: str) -> Stored:
    """A variable of the function in which the network is defined."""
    draft.cells[name] = value
    return Stored(name, name, f'read()["{name}"]', f"write({name}={{}})")


def default_argument(draft: Draft, name: str, value: str) -> Stored:
    draft.keywords[name] = value
    place = f'raw.__kwdefaults__["{name}"]'
    return Stored(name, name, place, f"{place} = {{}}")


def partial_argument(draft: Draft, name: str, value: str) -> Stored:
    draft.partials[name] = value
    place = f'net.keywords["{name}"]'
    return Stored(name, name, place, f"{place} = {{}}")


def own_attribute(draft: Draft, name: str, value: str) -> Stored:
    draft.slots.append(name)
    draft.init.append(f"self.{name} = {value}")
    return Stored(name, f"self.{name}", f"owner.{name}", f"owner.{name} = {{}}")


def own_class_attribute(draft: Draft, name: str, value: str) -> Stored:
    draft.attributes.append(f"{name} = {value}")
    return Stored(name, f"self.{name}", f"Net.{name}", f"Net.{name} = {{}}")


def own_dictionary(draft: Draft, name: str, value: str) -> Stored:
    draft.slots.append(f"items_{name}")
    draft.init.append(f'self.items_{name} = {{"{name}": {value}}}')
    place = f'items_{name}["{name}"]'
    return Stored(name, f"self.{place}", f"owner.{place}", f"owner.{place} = {{}}")


Place = Callable[["Draft", str, str], Stored]
ANYWHERE: tuple[Place, ...] = (
    of_the_module,
    class_attribute,
    inherited,
    instance_attribute,
    slots,
    dataclass_field,
    property_of_object,
    dictionary,
    listed,
    deep,
    python_module,
    context_variable,
    function_attribute,
    cell,
    cell,
    default_argument,
)
IN_CLASSES: tuple[Place, ...] = (own_attribute, own_class_attribute, own_dictionary)
