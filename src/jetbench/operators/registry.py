"""The registry of operators: the decorator that fills it, and how operators are made by name from plain options.

The operators themselves lie in `jetbench.operators` and in users' own files.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from functools import partial, wraps
from numbers import Real
from pathlib import Path
from typing import Any, ParamSpec, overload

import numpy as np

from jetbench.errors import unknown
from jetbench.operators.problem import Operator, as_operator
from jetbench.python_files import run

#: Symbols keep D exponents for each of at least D terms.
LARGEST_DIM = 4000
REGISTRY: dict[str, Callable[..., Operator]] = {}


Parameters = ParamSpec("Parameters")


@overload
def operator(function: Callable[Parameters, Any]) -> Callable[Parameters, Operator]: ...


@overload
def operator(
    *, min_dim: int = 1, max_dim: int = LARGEST_DIM
) -> Callable[[Callable[Parameters, Any]], Callable[Parameters, Operator]]: ...


def operator(function: Callable | None = None, *, min_dim: int = 1, max_dim: int = LARGEST_DIM) -> Callable:
    """Register a function of `dim` and options as an operator under its own name.

    The function returns a symbol, a dictionary of output name → symbol, or an `Operator`; the registered function
    returns an `Operator` that carries the function's name and those options that differ from their defaults.

    Args:
        function: its first argument is `dim`; every further one has a default.
        min_dim: the smallest dim for which the operator makes sense.
        max_dim: the largest whose symbols are worth their memory.

    Raises:
        TypeError: the arguments of the function are not of this kind.
        ValueError: another file has registered an operator of this name.

    Examples:
        >>> from jetbench.operators import operator
        >>> from jetbench import variables
        >>> @operator
        ... def screened_poisson(dim, kappa=1.0):
        ...     '''Δu − κ²u.'''
        ...     xi = variables(dim)
        ...     return xi @ xi - kappa**2
        >>> screened_poisson(dim=3, kappa=2.0).symbols[""]
        Symbol(dim=3: ξ0^2 + ξ1^2 + ξ2^2 + -4.0·1)
    """
    if function is None:
        return partial(_registered, min_dim, max_dim)
    return _registered(min_dim, max_dim, function)


def _registered(min_dim: int, max_dim: int, function: Callable) -> Callable[..., Operator]:
    name, signature = function.__name__, inspect.signature(function)
    first, others = next(iter(signature.parameters.values()), None), list(signature.parameters.values())[1:]
    if first is None or first.name != "dim" or any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in others):
        raise TypeError(f"The operator {name} must be a function of dim, followed by named options.")
    if any(p.default is p.empty for p in others):
        raise TypeError(f"Every option of the operator {name} needs a default, so that it can be made from dim alone.")
    known = REGISTRY.get(name)
    if known is not None and known.source != _source(function):
        raise ValueError(f"There is an operator {name} already, from {known.source}; choose another name.")

    @wraps(function)
    def make_operator(*args: Any, **kwargs: Any) -> Operator:
        wrong = sorted(set(kwargs) - set(signature.parameters))
        if wrong:
            raise ValueError(unknown("option", wrong[0], signature.parameters, name))
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ValueError(f"{name}: {error}; its arguments are {signature}.") from None
        dim = bound.arguments.get("dim", first.default)
        if isinstance(dim, bool) or not isinstance(dim, (int, np.integer)) or dim < min_dim:
            raise ValueError(f"{name}: dim must be a whole number, at least {min_dim}; got {dim!r}.")
        if dim > max_dim:
            raise ValueError(f"{name}: dim must be at most {max_dim}; got {dim}.")
        bound.arguments["dim"] = int(dim)
        for key, value in bound.arguments.items():
            annotation = signature.parameters[key].annotation
            if annotation in ("float", float) and not _is_number(value):
                raise ValueError(f"{name}: {key} must be a finite number; got {value!r}.")
            if annotation == "Callable | None" and not (value is None or callable(value)):
                raise ValueError(f"{name}: {key} must be a function, which only Python can give; got {value!r}.")
        options = {
            key: _plain(value)
            for key, value in bound.arguments.items()
            if key != "dim" and not _is_default(value, signature.parameters[key].default)
        }
        try:
            made = function(*bound.args, **bound.kwargs)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(_named(name, options, error)) from error
        return replace(as_operator(made), name=name, options=options, recipe=partial(make, name, **bound.arguments))

    registered: Any = make_operator
    registered.min_dim = min_dim
    registered.options = tuple(p.name for p in others)
    registered.source = _source(function)
    REGISTRY[name] = registered
    return registered


def make(name: str, **options: Any) -> Operator:
    """Return the operator of this name; `dim` is one of the options.

    Raises:
        ValueError: there is no such operator, it has no such option, or a value is not allowed.

    Examples:
        >>> from jetbench import operators
        >>> operators.make("biharmonic", dim=5).order
        4
    """
    if name not in REGISTRY:
        raise ValueError(unknown("operator", name, sorted(REGISTRY)))
    return REGISTRY[name](**options)


def load(path: str | Path) -> tuple[str, ...]:
    """Run a Python file that registers operators with `@operator`, and return their names.

    Loading the same file again replaces its operators.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it registers no operator, or one whose name is taken.

    Examples:
        >>> import pathlib, tempfile
        >>> from jetbench import operators
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "own_operators.py"
        >>> _ = path.write_text('''
        ... from jetbench.operators import operator
        ... from jetbench import variables
        ...
        ... @operator
        ... def own_laplacian(dim):
        ...     return variables(dim) @ variables(dim)
        ... ''')
        >>> operators.load(path)
        ('own_laplacian',)
    """
    path = Path(path).resolve()
    run(path, "operators")
    names = tuple(key for key, function in REGISTRY.items() if function.source == str(path))
    if not names:
        raise ValueError(f"{path} registers no operator; decorate a function of dim with jetbench.operators.operator.")
    return names


def _named(name: str, options: Mapping[str, Any], error: Exception) -> str:
    """What an operator said about its options, with their names and values if it did not name one itself."""
    message = str(error) or type(error).__name__
    if not options or any(key in message for key in options):
        return message if name in message or not options else f"{name}: {message}"
    given = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return f"{name} cannot be made with {given}: {message}"


def _source(function: Callable) -> str:
    return str(Path(function.__code__.co_filename).resolve())


def _is_number(value: Any) -> bool:
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    try:
        return bool(np.isfinite(float(value)))
    except OverflowError:
        return False


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, (int, float, str, tuple)) and value == default)


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it; functions by their name."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Fraction):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if callable(value):
        return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__name__)}"
    return value
