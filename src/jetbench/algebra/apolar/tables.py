"""Structure constants of the apolar algebra: tables of the products of two blocks, from the coproduct of V.

How tables are applied to arrays is in `arithmetic`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from math import frexp, ldexp

import numpy as np

from jetbench.algebra.apolar.components import NO_FORMS, Form, Forms, Section, Term
from jetbench.algebra.apolar.space import InverseSystem


@dataclass(frozen=True)
class Table:
    """z_q = Σ c x_a y_b over terms (q, a, b, c) for a block of `size` components.

    Indices a, b beyond the components of a block stand for its `forms`, sums of components that many terms share.
    The terms are kept as arrays of all q, a, b and c: there may be millions.
    """

    size: int
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    left_size: int
    right_size: int
    left_forms: Forms = NO_FORMS
    right_forms: Forms = NO_FORMS

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms one by one."""
        return tuple(zip(*(column.tolist() for column in self.arrays), strict=True))

    def scaled(self, factor: float) -> Table:
        """The table of factor · z."""
        q, a, b, c = self.arrays
        return replace(self, arrays=(q, a, b, factor * c))

    @cached_property
    def sections(self) -> tuple[tuple[bool, bool, Section], ...]:
        """The terms by whether they take x and y from the block or from its forms."""
        q, a, b, c = self.arrays
        is_left, is_right = a >= self.left_size, b >= self.right_size
        sections = []
        for code in dict.fromkeys((2 * is_left + is_right).tolist()):
            of_part, (left, right) = 2 * is_left + is_right == code, (code >= 2, code % 2 == 1)
            part = (q, a - left * self.left_size, b - right * self.right_size, c)
            part = [column[of_part] for column in part]
            sections.append((left, right, Section(self.size, part, *self._sizes(left, right))))
        return tuple(sections)

    def _sizes(self, is_left: bool, is_right: bool) -> tuple[int, int]:
        return (
            len(self.left_forms.terms) if is_left else self.left_size,
            len(self.right_forms.terms) if is_right else self.right_size,
        )

    @cached_property
    def groups(self) -> tuple[tuple[bool, tuple[tuple[int, Form], ...]], ...]:
        """For each z_q whether x is the common factor, and (a, form in y) or (b, form in x) for its products."""
        result = []
        for q in range(self.size):
            by_left, by_right = defaultdict(list), defaultdict(list)
            for _, a, b, c in self._of(q):
                by_left[a].append((b, c))
                by_right[b].append((a, c))
            is_left = len(by_left) <= len(by_right)
            chosen = by_left if is_left else by_right
            result.append((is_left, tuple((index, tuple(form)) for index, form in chosen.items())))
        return tuple(result)

    @cached_property
    def _by_component(self) -> dict[int, list[Term]]:
        found: dict[int, list[Term]] = defaultdict(list)
        for term in self.terms:
            found[term[0]].append(term)
        return found

    def _of(self, q: int) -> list[Term]:
        return self._by_component.get(q, [])

    @cached_property
    def products(self) -> int:
        """How many products of two components the table takes when it is applied component by component."""
        q, a, b, _ = self.arrays
        return int(np.minimum(_distinct(q, a, self.size), _distinct(q, b, self.size)).sum())


def _distinct(q: np.ndarray, indices: np.ndarray, size: int) -> np.ndarray:
    """How many different indices there are for each q < size."""
    width = int(indices.max(initial=0)) + 1
    return np.bincount(np.unique(q * width + indices) // width, minlength=size)


def product_tables(system: InverseSystem) -> dict[tuple[int, int, int], Table]:
    """(k, i, j) → the product of blocks i and j in block k, for i + j ≤ k; where there is none, it is zero."""
    forms, sizes = block_forms(system), system.sizes
    return {
        (k, i, j): with_forms(sizes[k - 1], entries, sizes[i - 1], sizes[j - 1], forms[i], forms[j])
        for (k, i, j), entries in coproduct_tables(system).items()
    }


def coproduct_tables(system: InverseSystem) -> dict[tuple[int, int, int], dict[int, list[tuple[int, int, float]]]]:
    """(k, i, j) → position q in block k → [(position a in block i, position b in block j, T^q_ab)], for i + j ≤ k."""
    result: dict[tuple[int, int, int], dict[int, list[tuple[int, int, float]]]] = {}
    positions = system.positions
    for k, size in enumerate(system.sizes, 1):
        for q in range(size):
            gathered: dict[tuple[int, int], dict[tuple[int, int], float]] = defaultdict(dict)
            for left, right, value in system.coproduct(k, q):
                of_pair, at = gathered[len(left), len(right)], (positions[left], positions[right])
                of_pair[at] = of_pair.get(at, 0.0) + float(value)
            for (i, j), entries in gathered.items():
                result.setdefault((k, i, j), {})[q] = [(a, b, c) for (a, b), c in entries.items() if c]
    return result


def block_forms(system: InverseSystem) -> dict[int, Forms]:
    """Block → the system's shapes of that degree in its components, where they have nothing in lower blocks."""
    found: dict[int, list[Form]] = {k: [] for k in range(1, len(system.sizes) + 1)}
    for shape in system.shapes:
        coordinates = system.coordinates(shape)
        blocks = {k for k, _, _ in coordinates}
        if len(blocks) == 1:
            found[blocks.pop()].append(tuple((position, float(c)) for _, position, c in coordinates))
    return {k: Forms(terms, system.sizes[k - 1]) for k, terms in found.items()}


def with_forms(
    size: int,
    entries: dict[int, list[tuple[int, int, float]]],
    left_size: int,
    right_size: int,
    left_forms: Forms,
    right_forms: Forms,
) -> Table:
    """A table whose terms use the forms wherever that takes fewer of them."""
    if not left_forms.terms and not right_forms.terms:
        return Table(size, _columns(_in_order(entries)), left_size, right_size)
    terms: list[Term] = []
    for q, of_q in entries.items():
        rows: dict[int, dict[int, float]] = defaultdict(dict)
        for a, b, c in of_q:
            rows[a][b] = rows[a].get(b, 0.0) + c
        shortened = {a: _shorten(row, right_size, right_forms.terms) for a, row in rows.items()}
        columns: dict[int, dict[int, float]] = defaultdict(dict)
        for a, row in shortened.items():
            for b, c in row.items():
                columns[b][a] = c
        for b, column in columns.items():
            terms.extend((q, a, b, c) for a, c in _shorten(column, left_size, left_forms.terms).items())
    return Table(size, _columns(terms), left_size, right_size, left_forms, right_forms)


def _columns(terms: Iterable[Term]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All q, a, b and c."""
    flat = np.fromiter(chain.from_iterable(terms), float).reshape(-1, 4)
    q, a, b = flat[:, :3].T.astype(int)
    return q, a, b, flat[:, 3].copy()


def _in_order(entries: dict[int, list[tuple[int, int, float]]]) -> Iterator[Term]:
    """The terms of each z_q by their b, each as it first occurs, so that those with a common factor stay together."""
    for q, of_q in entries.items():
        by_right: dict[int, list[Term]] = {}
        for a, b, c in of_q:
            by_right.setdefault(b, []).append((q, a, b, c))
        for terms in by_right.values():
            yield from terms


def _digits(number: float) -> float:
    """A number to 12 significant digits, whatever its units."""
    mantissa, exponent = frexp(number)
    return ldexp(round(mantissa, 12), exponent)


def _shorten(row: dict[int, float], size: int, forms: Iterable[Form]) -> dict[int, float]:
    """A linear form with fewer terms, using multiples of the given forms; form number f has index size + f."""
    row = dict(row)
    for number, form in enumerate(forms):
        ratios = [row[b] / value for b, value in form if b in row]
        if not ratios:
            continue
        digits = [_digits(ratio) for ratio in ratios]
        ratio = ratios[digits.index(Counter(digits).most_common(1)[0][0])]
        trial = dict(row)
        for b, value in form:
            rest = trial.get(b, 0.0) - ratio * value
            if abs(rest) > 1e-12 * abs(ratio * value):
                trial[b] = rest
            else:
                trial.pop(b, None)
        trial[size + number] = ratio
        if len(trial) < len(row):
            row = trial
    return row
