import torch

from jetbench.torch.corrected import FORMULAS

OPERATIONS = frozenset(
    getattr(getattr(torch.ops.aten, n), o)
    for n in dir(torch.ops.aten)
    if not n.startswith("__") and hasattr(getattr(torch.ops.aten, n), "overloads")
    for o in getattr(torch.ops.aten, n).overloads()
) - frozenset(FORMULAS)
