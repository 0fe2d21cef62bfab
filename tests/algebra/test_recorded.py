"""Straight-line programs: the numbers of the expressions they were recorded from, in few instructions and arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from jetbench.algebra.apolar.algebra import Apolar
from jetbench.algebra.collapsed import Collapsed
from jetbench.algebra.recorded import Expression, Operation, StraightLine, record
from jetbench.algebra.taylor import Taylor
from jetbench.operators.problem import Problem, as_operator
from jetbench.operators.symbol import Symbol, variables
from jetbench.torch.composition import Composition
from jetbench.torch.rules.elementwise import tanh
from jetbench.torch.straight_line import run


def laplacian(dim: int) -> Symbol:
    return variables(dim) @ variables(dim)


t, y = variables(2)
SYMBOLS = {
    "biharmonic": laplacian(5) ** 2,
    "triharmonic": laplacian(3) ** 3,
    "univariate": variables(1)[0] ** 6,
    "filtered": t + y**2 - 3 * y**4 + 0.1 * t * y,
    "mixed": t**2 * y**3,
}


@pytest.fixture(params=SYMBOLS)
def algebra(request: pytest.FixtureRequest) -> Apolar:
    return apolar(SYMBOLS[request.param])


def apolar(symbol: Symbol, elementwise: str = "auto") -> Apolar:
    return Apolar(Problem(as_operator(symbol)), elementwise)


def whole_program(algebra: Apolar) -> StraightLine:
    program = algebra.straight_line([True] * algebra.order, [True] * algebra.order)
    assert program is not None
    return program


def executed(program: StraightLine, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The results; what is read before it is written is NaN."""
    results = torch.full((program.results, *inputs[0].shape), torch.nan, dtype=torch.float64)
    run(program, [torch.from_numpy(array) for array in inputs], results)
    return [result.numpy() for result in results]


def random_jet(algebra: Apolar, shape: tuple[int, ...] = (4, 3)) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(0)
    derivatives = [rng.standard_normal(shape) for _ in range(algebra.order)]
    return derivatives, [rng.standard_normal((size, *shape)) for size in algebra.sizes]


def test_a_program_composes_as_the_algebra_does(algebra: Apolar) -> None:
    derivatives, blocks = random_jet(algebra)
    found = executed(whole_program(algebra), [*derivatives, *(c for block in blocks for c in block)])
    expected = np.concatenate(algebra.compose(derivatives, blocks))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_programs_skip_what_is_zero(algebra: Apolar) -> None:
    """Derivatives from the third on and all blocks above the first vanish, as for u² after the first layer."""
    derivatives, blocks = random_jet(algebra)
    derivatives = [*derivatives[:2], *[None] * (algebra.order - 2)]
    blocks = [blocks[0], *[None] * (algebra.order - 1)]
    expected = algebra.compose(derivatives, blocks)
    program = algebra.straight_line([d is not None for d in derivatives], [b is not None for b in blocks])
    if any(block is None for block in expected):
        assert program is None
        return
    assert len(program.instructions) < len(whole_program(algebra).instructions)
    found = executed(program, [*derivatives[:2], *blocks[0]])
    np.testing.assert_allclose(found, np.concatenate(expected), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("symbol", "instructions", "registers"),
    [(laplacian(3) ** 2, 72, 0), (laplacian(5) ** 2, 148, 0), (laplacian(3) ** 3, 438, 41), (y**4, 17, 1)],
    ids=["biharmonic 3", "biharmonic 5", "triharmonic 3", "univariate"],
)
def test_instructions_and_registers_of_known_operators(symbol: Symbol, instructions: int, registers: int) -> None:
    program = whole_program(apolar(symbol))
    assert (len(program.instructions), program.registers) == (instructions, registers)


def test_no_instruction_writes_to_inputs_or_beyond_the_registers(algebra: Apolar) -> None:
    program = whole_program(algebra)
    targets = {instruction.target for instruction in program.instructions}
    assert targets == set(range(program.inputs, program.inputs + program.results + program.registers))


def test_terms_of_a_sum_are_one_instruction_each_and_shared_ones_are_computed_once() -> None:
    a, b, c = (Expression("input") for _ in range(3))
    shared = a * b + 2 * c
    program = record([a, b, c], [3 * (shared * c) + b, shared + shared, None])
    assert [i.operation for i in program.instructions] == [
        Operation.ZERO,
        Operation.MULTIPLY,  # the shared sum, in the room of a result or a register
        Operation.ADD_SCALED,
        Operation.ADD,
        Operation.MULTIPLY,
        Operation.ADD_SCALED,
    ]
    x, z, w = np.random.default_rng(1).standard_normal((3, 2))
    found = executed(program, [x, z, w])
    np.testing.assert_allclose(found, [3 * (x * z + 2 * w) * w + z, 2 * (x * z + 2 * w), 0 * x], rtol=1e-14)


def test_only_algebras_of_moderate_size_and_order_above_two_have_programs() -> None:
    assert not apolar(laplacian(4)).has_programs
    assert not apolar(laplacian(20) ** 2).has_programs
    assert not apolar(laplacian(3) ** 2, "blockwise").has_programs
    assert apolar(laplacian(20) ** 2).straight_line([True] * 4, [True] * 4) is None
    taylor = Taylor(Problem(as_operator(laplacian(3) ** 2)))
    assert not taylor.has_programs
    assert taylor.straight_line([True] * 4, [True] * 4) is None


@pytest.mark.parametrize("rows", [1, 5, 301])
def test_tensors_are_composed_by_programs_in_pieces(algebra: Apolar, rows: int) -> None:
    """Whatever the number of rows and the way they are cut, the value and blocks are those of whole operations."""
    _, blocks = random_jet(algebra, (rows, 170))
    u = torch.linspace(-1, 1, 170, dtype=torch.float64).expand(rows, 170).clone()
    given = [torch.from_numpy(block) for block in blocks]
    composition = Composition(algebra, tanh, tuple(range(algebra.order)))
    expected = torch.cat(composition.parts(u, given))
    torch.testing.assert_close(composition.in_pieces(u, given), expected, rtol=1e-12, atol=1e-12)


def test_only_very_large_wholes_are_divided_on_a_gpu() -> None:
    """There a call costs as much as moving megabytes; on a processor, pieces stay in its cache."""
    algebra = Collapsed(Problem(as_operator(laplacian(50))))
    composition = Composition(algebra, tanh, (0, 1))
    for rows, on_gpu in ((1, 1), (683, 1), (2048, 3)):
        u = torch.empty(rows, 768, dtype=torch.float64)
        assert len(composition.pieces(u.to("meta"), rows)) == len(composition._for_blocks(u.to("meta"))) == on_gpu
        assert len(composition._for_blocks(u)) >= min(rows, 12)


@pytest.mark.parametrize("symbol", [laplacian(5) ** 2, laplacian(3) ** 3], ids=["biharmonic", "triharmonic"])
def test_a_program_takes_few_calls_and_little_room(symbol: Symbol) -> None:
    """One call an instruction, and temporary tensors of at most half the size of the result, its jet in and out."""
    algebra = apolar(symbol)
    blocks = [torch.ones(size, 64, 96, dtype=torch.float64) for size in algebra.sizes]
    u = blocks[0][0].clone()
    composition = Composition(algebra, tanh, tuple(range(algebra.order)))
    composition.in_pieces(u, blocks)
    with torch.profiler.profile(profile_memory=True) as profiler:
        composition.in_pieces(u, blocks)
    arithmetic = {"aten::addcmul_", "aten::mul", "aten::addcmul", "aten::add", "aten::add_", "aten::sub"}
    calls = sum(event.count for event in profiler.key_averages() if event.key in arithmetic)
    pieces = sum(event.count for event in profiler.key_averages() if event.key == "aten::tanh") - 1
    towers = calls - pieces * len(whole_program(algebra).instructions)
    assert 0 <= towers <= 6 * algebra.order * (pieces + 1)
    sizes = [event.nbytes() for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    peak = np.cumsum(sizes).max()
    result = algebra.vectors * u.numel() * u.element_size()
    assert result <= peak <= 1.5 * result


@pytest.mark.parametrize(("rows", "is_program"), [(1, False), (4, False), (8, True), (64, True)])
def test_few_rows_are_composed_by_whole_blocks(rows: int, is_program: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program has a call for each of its instructions, which is too many for what would be few pieces anyway."""
    algebra = apolar(laplacian(3) ** 3)
    used = []
    monkeypatch.setattr("jetbench.torch.composition.run", lambda *arguments: used.append(run(*arguments)))
    blocks = [torch.ones(size, rows, 8, dtype=torch.float64) for size in algebra.sizes]
    Composition(algebra, tanh, tuple(range(algebra.order))).in_pieces(blocks[0][0], blocks)
    assert bool(used) == is_program
