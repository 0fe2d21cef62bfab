"""Formulas for ATen operations whose derivatives PyTorch gets wrong, or does not have.

To add one, write in the module of its kind (or in your own code):

    @formula(torch.ops.aten.dist.default)
    def dist(self, other, p=2):
        return torch.linalg.vector_norm(self - other, p)

A formula is called with the operation's own arguments, and computes the same in operations that PyTorch differentiates
rightly to every order, those of `jetbench.torch.trusted`.
"""

from jetbench.torch.corrected import linalg, normalization, parts, polynomials, ranges, reductions, roots, special
from jetbench.torch.corrected.formulas import FORMULAS, formula

__all__ = [
    "FORMULAS",
    "formula",
    "linalg",
    "normalization",
    "parts",
    "polynomials",
    "ranges",
    "reductions",
    "roots",
    "special",
]
