"""Operations that move, repeat, overwrite and choose entries."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from coverage_table.torch.inputs import DISTINCT, INDEX, MASK, features, matrix, table

LOW, HIGH = torch.tensor(-0.2, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)


def meshed(x):
    pair = torch.vmap(lambda u: torch.stack(torch.meshgrid(u[:3], u[3:], indexing="ij")))(features(x))
    return pair[:, 0].sin() * pair[:, 1]


FUNCTIONS = {
    "concatenation": lambda x: torch.cat([x.sin(), torch.ones_like(x), features(x)], -1) ** 2,
    "stacking": lambda x: torch.stack([x.sin(), x, x.cos()], -2),
    "hstack": lambda x: torch.hstack([x, x**2]),
    "slicing": lambda x: features(x)[..., 1:5:2] * features(x)[..., -2:],
    "advanced_indexing": lambda x: features(x)[:, INDEX] ** 2,
    "two_indices": lambda x: table(x)[:, torch.tensor([0, 1, 1]), torch.tensor([2, 0, 1])] ** 2,
    "boolean_mask": lambda x: features(x)[:, MASK] ** 2,
    "gather": lambda x: features(x).gather(-1, INDEX.expand(x.shape[0], 4)) ** 2,
    "index_select": lambda x: features(x).index_select(-1, INDEX) ** 2,
    "take_along_dim": lambda x: torch.take_along_dim(features(x), INDEX[None], -1) ** 2,
    "scatter": lambda x: features(x).scatter(-1, DISTINCT.expand(x.shape), x.exp()) ** 2,
    "scatter_value": lambda x: features(x).scatter(-1, DISTINCT.expand(x.shape), 1.5) ** 2,
    "scatter_add": lambda x: features(x).scatter_add(-1, INDEX[:3].expand(x.shape), x.exp()) ** 2,
    "scatter_reduce": lambda x: features(x).scatter_reduce(-1, INDEX[:3].expand(x.shape), x.exp(), "sum") ** 2,
    "index_add": lambda x: features(x).index_add(-1, INDEX[:3], x.exp(), alpha=2) ** 2,
    "index_copy": lambda x: features(x).index_copy(-1, INDEX[1:2], x[:, :1].exp()) ** 2,
    "index_fill": lambda x: features(x).index_fill(-1, INDEX[:2], 0.5) ** 2,
    "index_put": lambda x: (
        features(x).index_put((torch.arange(x.shape[0]), INDEX[:1].expand(x.shape[0])), x[:, 0].exp()) ** 2
    ),
    "masked_fill": lambda x: features(x).masked_fill(MASK, 0.5) ** 2,
    "masked_fill_by_x": lambda x: features(x).masked_fill(features(x) > 0.2, -1.0) ** 2,
    "reshape": lambda x: features(x).reshape(-1, 3, 2).sin().view(-1, 6),
    "flatten": lambda x: table(x).sin().flatten(1),
    "transpose": lambda x: table(x).transpose(1, 2) @ table(x).sin(),
    "permute": lambda x: matrix(x).permute(0, 2, 1) * matrix(x),
    "expand": lambda x: x[..., None].expand(-1, 3, 4) * x[..., None, :1],
    "squeeze": lambda x: features(x)[:, :1, None].squeeze(-1).unsqueeze(1) ** 2,
    "chunk": lambda x: torch.mul(*features(x).chunk(2, -1)),
    "split": lambda x: torch.mul(*features(x).split([3, 3], -1)),
    "tensor_split": lambda x: torch.mul(*torch.tensor_split(features(x), 2, -1)),
    "unbind": lambda x: torch.sin(table(x).unbind(1)[0]) * table(x).unbind(1)[1],
    "movedim": lambda x: table(x).movedim(1, 2).swapaxes(1, 2) ** 2,
    "roll": lambda x: features(x) * features(x).roll(2, -1),
    "roll_two_axes": lambda x: table(x) * table(x).roll((1, 2), (1, 2)),
    "flip": lambda x: features(x) * features(x).flip(-1),
    "rot90": lambda x: matrix(x) * torch.rot90(matrix(x), 1, (1, 2)),
    "tril": lambda x: matrix(x).tril() @ matrix(x),
    "triu": lambda x: matrix(x).triu(1) @ matrix(x),
    "diagonal": lambda x: matrix(x).diagonal(dim1=1, dim2=2) ** 2,
    "diag_embed": lambda x: torch.diag_embed(x.sin()) @ matrix(x),
    "repeat": lambda x: features(x).repeat(1, 2) ** 2,
    "tile": lambda x: features(x).tile(1, 2) ** 2,
    "repeat_interleave": lambda x: features(x).repeat_interleave(2, -1) ** 2,
    "meshgrid": meshed,
    "pad": lambda x: F.pad(features(x), (1, 2), value=0.5) ** 2,
    "pad_reflect": lambda x: F.pad(features(x)[:, None], (2, 1), mode="reflect")[:, 0] ** 2,
    "pad_circular": lambda x: F.pad(features(x)[:, None], (2, 1), mode="circular")[:, 0] ** 2,
    "unfold": lambda x: features(x).unfold(-1, 3, 2) ** 2,
    "where": lambda x: torch.where(features(x) > 0.1, features(x) ** 3, features(x).sin()),
    "where_guarded": lambda x: torch.where(features(x) > 0, torch.log(features(x)), 0.0),
    "where_number": lambda x: torch.where(features(x) > 0.1, features(x) ** 3, 0.5),
    "maximum": lambda x: torch.maximum(features(x), features(x).flip(-1)) ** 2,
    "minimum": lambda x: torch.minimum(features(x), LOW) ** 2,
    "fmax": lambda x: torch.fmax(features(x), features(x).flip(-1)) ** 2,
    "clamp": lambda x: features(x).clamp(-0.2, 0.4) ** 2,
    "clamp_tensor": lambda x: torch.clamp(features(x), LOW, HIGH) ** 2,
    "clamp_by_x": lambda x: torch.clamp(features(x), max=x[..., :1]) ** 2,
    "clamp_min": lambda x: features(x).clamp(min=0.0) ** 2,
    "sort": lambda x: features(x).sort(-1, descending=True).values * torch.arange(6) ** 2 * features(x),
    "topk": lambda x: features(x).topk(3).values ** 2,
    "argmax_one_hot": lambda x: F.one_hot(features(x).argmax(-1), 6) * features(x) ** 2,
}
