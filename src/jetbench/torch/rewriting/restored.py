"""What a run has changed in the objects of the user, put back: the run was for tracing, on tensors without values."""

from __future__ import annotations

import contextlib
import types
from collections import deque

from jetbench.torch._compat import pytree
from jetbench.torch.rewriting.contents import ABOUT_CLASSES, PLAIN, Contents, slots

EMPTY = object()


class Restored:
    """A context in which a function is run to be traced.

    What only has plain values after it, such as a counter, stays as the run left it, as that is what a call does.
    Anything else is put back together, since some of it may hold tensors of the trace.

    Attributes:
        has_changed: whether the run left plain values behind, so that the next one may do something else.
    """

    def __init__(self, contents: Contents) -> None:
        containers = {id(container): container for container in contents.containers}.values()
        self._before = [(container, items(container)) for container in containers]
        self._caches = [(cache, cache.cache_info().misses) for cache in contents.caches]
        self.has_changed = False

    def __enter__(self) -> Restored:
        return self

    def __exit__(self, *error: object) -> None:
        changes = [(c, before, after) for c, before in self._before if not _same(before, after := items(c))]
        self.has_changed = bool(changes)
        plain = all(
            _is_plain(after[name]) for _, before, after in changes for name in after if _new(before, after, name)
        )
        if error[0] is not None or not plain:
            self.has_changed = False
            for container, before, after in changes:
                _put_back(container, before, after)
        for cache, misses in self._caches:
            if cache.cache_info().misses != misses:
                cache.cache_clear()


def items(container: object) -> dict[object, object]:
    """What a container holds, by name, key or place."""
    if isinstance(container, dict):
        return dict(container)
    if isinstance(container, (list, deque)):
        return dict(enumerate(container))
    if isinstance(container, set):
        return {(id(value),): value for value in container}
    if isinstance(container, type):
        return {name: value for name, value in vars(container).items() if name not in ABOUT_CLASSES}
    with contextlib.suppress(ValueError):
        return {"": container.cell_contents} if isinstance(container, types.CellType) else _slots_of(container)
    return {}


def _slots_of(container: object) -> dict[object, object]:
    found = {}
    for slot in slots(type(container)):
        if "__slots__" not in vars(slot.__objclass__):  # a field of a compiled class, which is read-only
            continue
        with contextlib.suppress(AttributeError):
            found[slot] = slot.__get__(container)
    return found


def _new(before: dict, after: dict, name: object) -> bool:
    return before.get(name, EMPTY) is not after[name]


def _same(before: dict, after: dict) -> bool:
    return before.keys() == after.keys() and not any(_new(before, after, name) for name in after)


def _is_plain(value: object) -> bool:
    """Whether a value holds no tensors."""
    return all(type(leaf) in PLAIN or type(leaf) is float for leaf in pytree.tree_leaves(value))


def _put_back(container: object, before: dict, after: dict) -> None:
    if isinstance(container, (list, deque, set)):
        container.clear()
        (container.update if isinstance(container, set) else container.extend)(before.values())
        return
    for name in [name for name in after if name not in before]:
        _delete(container, name)
    for name in [name for name in before if after.get(name, EMPTY) is not before[name]]:
        _assign(container, name, before[name])


def _assign(container: object, name: object, value: object) -> None:
    if isinstance(container, dict):
        container[name] = value
    elif isinstance(container, type):
        setattr(container, name, value)
    elif isinstance(container, types.CellType):
        container.cell_contents = value
    else:
        name.__set__(container, value)


def _delete(container: object, name: object) -> None:
    if isinstance(container, dict):
        del container[name]
    elif isinstance(container, type):
        delattr(container, name)
    elif isinstance(container, types.CellType):
        del container.cell_contents
    else:
        name.__delete__(container)
