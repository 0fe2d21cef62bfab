"""YAML as configs need it: plain values, each key once, and nothing that grows when its aliases are followed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

MOST_NODES = 1_000_000
MOST_LEVELS = 50
TOO_DEEP = f"its values lie in each other more than {MOST_LEVELS} levels deep"


def load(text: str) -> Any:
    """The one document of a text, read by PyYAML's safe loader: it makes plain values and nothing else.

    Raises:
        ValueError: a key stands twice, aliases multiply into more than `MOST_NODES` values, a value contains itself, or
            values lie in each other more than `MOST_LEVELS` deep; or a value cannot be what it looks like.
        yaml.YAMLError: the text is not YAML.
    """
    kind = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    _check_depth(yaml.parse(text, kind))
    loader = kind(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        nodes = _count(node, {}, set())
        if nodes > MOST_NODES:
            raise ValueError(f"its aliases multiply into {nodes} values; at most {MOST_NODES} are read")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_depth(events: Iterable[yaml.Event]) -> None:
    """Refuse deep nesting before anything recursive sees it: the fast loader would overflow the process's stack."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MOST_LEVELS:
                raise ValueError(TOO_DEEP)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _count(node: yaml.Node, counted: dict[int, int], above: set[int]) -> int:
    """The values below a node, aliases followed; each node is looked at once."""
    if id(node) in counted:
        return counted[id(node)]
    if id(node) in above:
        raise ValueError(f"the value at line {node.start_mark.line + 1} contains itself")
    if len(above) > MOST_LEVELS:
        raise ValueError(TOO_DEEP)
    above.add(id(node))
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        _refuse_duplicates(node)
        children = [each for pair in node.value for each in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    counted[id(node)] = 1 + sum(_count(child, counted, above) for child in children)
    above.remove(id(node))
    return counted[id(node)]


def _refuse_duplicates(node: yaml.MappingNode) -> None:
    keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
    seen: set[str] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"the key {key!r} stands twice in the mapping at line {node.start_mark.line + 1}")
        seen.add(key)
