"""What PyTorch's derivatives get wrong, with inputs: this script writes docs/pytorch-derivatives.md.

Plain `torch.func` and `torch.autograd` on functions of one number t; no part of this package differentiates anything.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.func import grad

from coverage_table.interpolation import CENTRED

PAGE = Path(__file__).parents[2] / "docs" / "pytorch-derivatives.md"
SETUP = """\
import torch
from torch.func import grad, jvp


def column(t):  # (3,)
    return torch.stack([t, t**2 + 0.3, torch.sin(2 * t)])


def square(t):  # (3, 3), not symmetric
    return torch.outer(column(t), torch.cos(column(t))) + 3 * torch.eye(3)


def forward(f):
    return lambda t: jvp(f, (t,), (torch.ones_like(t),))[1]"""
SPACE: dict[str, object] = {}
exec(SETUP, SPACE)
#: function of t, t, orders of forward mode around (those of) reverse mode; F stands for forward, R for reverse
CASES = (
    ("F.layer_norm(column(t), (3,), eps=0.25)[0]", 0.5, "FF"),
    ("F.layer_norm(column(t), (3,), eps=0.25)[0]", 0.5, "RRR"),
    ("F.instance_norm(column(t)[None, None], eps=0.25)[0, 0, 0]", 0.5, "FF"),
    ("torch._weight_norm(square(t), column(t)[:, None], 0)[0, 0]", 0.5, "RR"),
    ("torch.linalg.det(square(t))", 0.5, "FF"),
    ("torch.linalg.det(square(t))", 0.5, "FFR"),
    ("torch.linalg.slogdet(square(t))[1]", 0.5, "FF"),
    ("torch.linalg.solve(square(t), column(t))[0]", 0.5, "FF"),
    ("torch.linalg.solve(square(t), column(t))[0]", 0.5, "FFR"),
    ("torch.linalg.householder_product(square(t)[:, :2], column(t)[:2])[0, 0]", 0.5, "FF"),
    ("torch.cholesky_inverse(square(t).tril())[0, 1]", 0.5, "F"),
    ("torch.cholesky_inverse(square(t))[0, 1]", 0.5, "R"),
    ("torch.cholesky_solve(column(t)[:, None], square(t))[0, 0]", 0.5, "R"),
    ("torch.triangular_solve(column(t)[:, None], square(t))[0][0, 0]", 0.5, "F"),
    ("torch.stack([t - 0.5, t**2 - 0.25, t]).cumprod(0)[2]", 0.5, "FF"),
    ("torch.stack([t - 0.5, t**2 - 0.25, t]).prod()", 0.5, "FFF"),
    ("torch.ones(2).scatter_reduce(0, torch.tensor([0]), column(t)[:1] ** 2, 'prod')[0]", 0.5, "F"),
    ("torch.logcumsumexp(torch.stack([900 * t, -900 * t]), 0)[1]", 0.5, "RRR"),
    ("torch.vmap(lambda x: torch.select_scatter(x, t, 0, 1))(torch.ones(3, 2)).sum()", 0.5, "R"),
    ("torch.sinc(t)", 0.0, "FF"),
    ("torch.special.i1(t)", 0.0, "FFF"),
    ("torch.i0(t)", 0.0, "RRRR"),
    ("torch.polar(t, 3 * t).imag", 0.0, "RR"),
    ("torch.exp(-(torch.linalg.vector_norm(t[None]) ** 2))", 0.0, "FF"),
    ("torch.special.bessel_j0(t)", 0.3, "F"),
    ("torch.special.chebyshev_polynomial_t(t, 4)", 0.3, "R"),
    ("torch.special.spherical_bessel_j0(t)", 0.3, "R"),
    ("torch.special.modified_bessel_k0(t)", 0.3, "R"),
    ("torch.special.airy_ai(t)", 0.3, "R"),
)
#: functions whose values torch.vmap gets wrong, and with them all that is differentiated under it
MAPPED = ("lambda s: torch.zeros(2).index_fill(0, torch.tensor([0]), s)[0]",)


def differentiated(f: Callable[[Tensor], Tensor], modes: str) -> Callable[[Tensor], Tensor]:
    """The innermost mode is the last one."""
    for mode in reversed(modes):
        f = grad(f) if mode == "R" else SPACE["forward"](f)
    return f


def line(code: str, point: float, modes: str) -> str | None:
    """A row of the page; None where PyTorch is right."""
    f = eval(f"lambda t: {code}", {**SPACE, "F": torch.nn.functional})
    at = torch.tensor(point)
    try:
        found = differentiated(f, modes)(at).item()
    except Exception as error:
        return print(f"{code}: {type(error).__name__}: {error}")
    values, errors = CENTRED.derivatives(torch.stack([f(at + t) for t in torch.from_numpy(CENTRED.steps)]).numpy())
    true, error = values[len(modes)], errors[len(modes)]
    if abs(found - true) <= 1e-6 * max(1, abs(true)) + 4 * error:
        return print(f"{code} {modes}: right, {found} {true}")
    true = 0.0 if abs(true) <= 10 * error else true
    return f"| `{code}` | {point} | {modes} | {found:.6g} | {true:.6g} |"


def mapped_line(code: str) -> str | None:
    """A row of the second table; None where PyTorch is right."""
    f, inputs = eval(code, SPACE), SPACE["column"](torch.tensor(0.5))
    found, true = torch.vmap(f)(inputs).tolist(), [f(one).item() for one in inputs]
    if found == true:
        return print(f"{code}: right")
    return f"| `{code}` | {', '.join(f'{v:.4g}' for v in found)} | {', '.join(f'{v:.4g}' for v in true)} |"


def main() -> None:
    torch.set_default_dtype(torch.float64)
    rows = "\n".join(row for case in CASES if (row := line(*case)))
    mapped = "\n".join(row for code in MAPPED if (row := mapped_line(code)))
    PAGE.write_text(
        f"""# Derivatives that PyTorch {torch.__version__.partition("+")[0]} computes wrongly

Each row is a derivative of a function of one number t that PyTorch returns without an error, on a CPU in float64, and
its true value from Chebyshev interpolation of plain values. `F` stands for forward mode, `R` for reverse mode, the
outermost first: `FR` is forward over reverse, of second order. The nested methods of jetbench run networks with
formulas in place of these operations (`jetbench.torch.corrected`), or refuse them.

```python
{SETUP}
```

| function of t | t | mode | PyTorch | true |
| --- | ---: | --- | ---: | ---: |
{rows}

Under `torch.vmap` values are wrong as well, and so is every derivative taken for several directions or points
at once. The functions below are mapped over `column(torch.tensor(0.5))`; the last column has their values one by one.

| function | PyTorch, mapped | one by one |
| --- | --- | --- |
{mapped}

Written by `python tests/derivatives/wrong.py`. The list of operations that were found right is
`src/jetbench/torch/trusted.txt`; `tests/derivatives/evidence.py` is the search.
""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
