"""What is said of networks that no operator can be evaluated of."""

from __future__ import annotations

from jetbench.errors import Unsupported

DECIDES = (
    "The network decides by a value of x what to compute (an `if`, `.item()`, a loop count or a boolean mask). "
    "Use torch.where, so that one computation holds for every x."
)


class AuthorDerivative(Unsupported):
    """What is recorded of a network cannot follow a derivative that its author gave."""


def author_derivative(name: str) -> AuthorDerivative:
    """What to raise for an `autograd.Function` of this name."""
    return AuthorDerivative(
        f"Jets cannot follow the derivative that the autograd.Function {name} defines: they can where it maps one "
        "tensor entry by entry, with a backward pass that can be differentiated, outside of torch.func, torch.compile "
        "and collapse. Use method='nested', or write the function in differentiable operations."
    )


def draws(what: str) -> Unsupported:
    return Unsupported(
        f"The network draws random numbers ({what}). Call `net.eval()` to turn dropout off, or draw them outside of "
        "the network."
    )


def changes_outside(what: str) -> Unsupported:
    return Unsupported(
        f"The network changes a tensor that lives outside of it ({what}), such as the running statistics of a batch "
        "norm in training mode. Call `net.eval()`."
    )


def changes_input(what: str) -> Unsupported:
    return Unsupported(
        f"The network changes its input in place ({what}). Let it make a new tensor, such as x = x + 1 for x += 1, or "
        "activations without inplace=True."
    )
