"""Structure constants of the apolar algebra: tables of the products of two blocks, from the coproduct of V.

How tables are applied to arrays lies in `apolar_arithmetic`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import frexp, ldexp

from jetbench.algebra.apolar_components import NO_FORMS, Form, Forms, Section, Term
from jetbench.algebra.inverse_system import InverseSystem


@dataclass(frozen=True)
class Table:
    """z_q = Σ c x_a y_b over terms (q, a, b, c) for a block of `size` components.

    Indices a, b beyond the components of a block stand for its `forms`, sums of components that many terms share.
    """

    size: int
    terms: tuple[Term, ...]
    left_size: int
    right_size: int
    left_forms: Forms = NO_FORMS
    right_forms: Forms = NO_FORMS

    def scaled(self, factor: float) -> Table:
        """The table of factor · z."""
        terms = tuple((q, a, b, factor * c) for q, a, b, c in self.terms)
        return Table(self.size, terms, self.left_size, self.right_size, self.left_forms, self.right_forms)

    @cached_property
    def sections(self) -> tuple[tuple[bool, bool, Section], ...]:
        """The terms by whether they take x and y from the block or from its forms."""
        parts: dict[tuple[bool, bool], list[Term]] = defaultdict(list)
        for q, a, b, c in self.terms:
            is_left, is_right = a >= self.left_size, b >= self.right_size
            parts[is_left, is_right].append((q, a - is_left * self.left_size, b - is_right * self.right_size, c))
        sizes = {key: self._sizes(*key) for key in parts}
        return tuple((*key, Section(self.size, terms, *sizes[key])) for key, terms in parts.items())

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
        return sum(len(products) for _, products in self.groups)


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
    for k, size in enumerate(system.sizes, 1):
        for q in range(size):
            gathered: dict[tuple[int, int], dict[tuple[int, int], float]] = defaultdict(lambda: defaultdict(float))
            for left, right, value in system.coproduct(k, q):
                at = (system.positions[left], system.positions[right])
                gathered[len(left), len(right)][at] += float(value)
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
    return Table(size, tuple(terms), left_size, right_size, left_forms, right_forms)


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
