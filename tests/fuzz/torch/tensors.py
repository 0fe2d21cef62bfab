"""Tensors and modules of a program in PyTorch: where they are kept, and how they change."""

from __future__ import annotations

from collections.abc import Sequence

from fuzz.draft import Draft, Parameter
from fuzz.pieces import Registry

REGISTRY = Registry()
piece = REGISTRY.piece
SCALES = ("0.9", "-0.6", "1.4")


def tensor(draft: Draft, *shape: int, positive: bool = False) -> str:
    """An expression for a tensor that gradients are taken of, kept somewhere."""
    value = f"torch.randn({shape}, dtype=D)"
    if positive:
        value = f"(0.5 + torch.rand({shape}, dtype=D))"
    if draft.form == "module" and draft.rng.random() < 0.5 and not draft.is_plain:
        return _registered(draft, value)
    stored = draft.keep(f"{value}.requires_grad_()", "w")
    draft.parameters.append(Parameter(stored.name, stored.outside, stored.write))
    scale = draft.rng.choice(SCALES) if not positive else "1.7"
    replaced = stored.write.format(f"({scale} * {stored.outside}.detach()).requires_grad_()")
    draft.changes.append(draft.rng.choice([replaced, _in_place(draft, stored.outside, positive)]))
    return stored.read


def _registered(draft: Draft, value: str) -> str:
    """As `tensor`, in the network's own module: a parameter, one in a list or dictionary, or a buffer."""
    name, kind = draft.name("w"), draft.rng.choice(("parameter", "list", "dictionary", "buffer"))
    if kind == "buffer":
        draft.init.append(f'self.register_buffer("{name}", {value})')
        draft.changes.append(_in_place(draft, f"owner.{name}", True))
        return f"self.{name}"
    place, path, made = {
        "parameter": (name, name, f"torch.nn.Parameter({value})"),
        "list": (f"{name}[0]", f"{name}.0", f"torch.nn.ParameterList([torch.nn.Parameter({value})])"),
        "dictionary": (
            f'{name}["a"]',
            f"{name}.a",
            f'torch.nn.ParameterDict({{"a": torch.nn.Parameter({value})}})',
        ),
    }[kind]
    draft.init.append(f"self.{name} = {made}")
    draft.parameters.append(Parameter(name, f"owner.{place}", owner="owner", path=path))
    replaced = f"owner.{place} = torch.nn.Parameter(1.5 * owner.{place}.detach())"
    draft.changes.append(draft.rng.choice([replaced, _in_place(draft, f"owner.{place}", True)]))
    return f"self.{place}"


def _in_place(draft: Draft, outside: str, positive: bool) -> str:
    scale = "1.6" if positive else draft.rng.choice(SCALES)
    return draft.rng.choice(
        (
            f"with torch.no_grad():\n    {outside}.mul_({scale})",
            f"{outside}.data = {scale} * {outside}.data",
            f"{outside}.data.mul_({scale})",
            f"with torch.no_grad():\n    {outside}.copy_({scale} * {outside})",
        )
    )


def layer(draft: Draft, made: str, names: Sequence[str] = ("weight", "bias")) -> str:
    """An expression for a module, kept somewhere; `names` are those of its parameters."""
    if draft.form == "module" and draft.rng.random() < 0.7 and not draft.is_plain:
        name = draft.name("layer")
        draft.init.append(f"self.{name} = {made}")
        read, outside, owner, prefix = f"self.{name}", f"owner.{name}", "owner", f"{name}."
        draft.changes.append(f"owner.{name} = {made}")
    else:
        stored = draft.keep(made, "layer")
        read, outside, owner, prefix = stored.read, stored.outside, stored.outside, ""
        draft.changes.append(stored.write.format(made))
    places = [f"{outside}.{name}" if name.isidentifier() else f'{outside}.get_parameter("{name}")' for name in names]
    for name, place in zip(names, places, strict=True):
        short = draft.name(f"{name.replace('.', '_')}_")
        draft.parameters.append(Parameter(short, place, owner=owner, path=prefix + name))
    if names:
        draft.changes.append(_in_place(draft, places[0], True))
    return read
