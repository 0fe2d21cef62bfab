"""Reading and checking a config: YAML or JSON, against workflows/schemas/config.schema.json, with errors that help."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from jetbench.errors import ConfigError, unknown

SCHEMA = "config.schema.json"
LARGEST = 2**22  # bytes of a config
DEEPEST = 50  # levels of lists and mappings in each other
BUDGET = {
    "point_s": 8.0,
    "first_call_s": 300.0,
    "samples_min": 5,
    "samples_max": 200,
    "interval": 0.02,
    "gradient": True,
    "memory": True,
}


def load(path: str | Path, schema: str | Path | None = None) -> dict[str, Any]:
    """A validated config from a YAML or JSON file. A relative `operators_file` or `methods_file` is taken from the
    config's folder, or from the working directory if it is not there.

    Raises:
        ConfigError: it cannot be read, or a key or value is wrong; the message names it and what is allowed.
    """
    path = Path(path)
    config = _parse(_text(path), path)
    validate(config, schema, str(path))
    for key in ("operators_file", "methods_file"):
        if config.get(key):
            beside = path.parent / config[key]
            config[key] = str(beside if os.path.exists(beside) else config[key])
    return config


def budget(config: Mapping[str, Any]) -> dict[str, Any]:
    """The budget of a point, completed with the defaults."""
    return {**BUDGET, **(config.get("budget") or {})}


def has_gradient(point_budget: Mapping[str, Any], mode: str) -> bool:
    """Whether the gradient is timed: "quick" leaves it out where another graph would have to be compiled for it."""
    return point_budget["gradient"] is True or (point_budget["gradient"] == "quick" and mode == "eager")


def limit_s(point_budget: Mapping[str, Any]) -> float:
    """After how many seconds a point is stopped from outside: everything that is not sampling has first_call_s, and
    sampling three times point_s, because a call that has begun is not interrupted by the clock."""
    return float(point_budget["first_call_s"]) + 3 * float(point_budget["point_s"])


def validate(config: Any, schema: str | Path | None = None, source: str = "config") -> None:
    """Check a config against the schema.

    Raises:
        ConfigError: names the key or value that is wrong and what is allowed.
    """
    if not isinstance(config, dict) or not isinstance(config.get("studies"), dict):
        raise ConfigError(f"{source}: a config is a mapping with a key `studies`; see workflows/config/cpu.yaml.")
    import jsonschema

    _check_plain(config, source)
    rules = _schema(str(schema) if schema else None)
    plain = jsonschema.Draft202012Validator
    # For JSON Schema 2.0 is an integer; what takes whole numbers here takes no floats.
    whole = plain.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    checker = jsonschema.validators.extend(plain, type_checker=whole)
    errors = sorted(checker(rules).iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path])
    if errors:
        more = f" ({len(errors) - 1} more after it)" if len(errors) > 1 else ""
        raise ConfigError(f"{source}: {_explain(errors[0])}{more}")
    least, most = (budget(config)[key] for key in ("samples_min", "samples_max"))
    if least > most:
        raise ConfigError(f"{source}: budget.samples_min: {least} is not allowed; samples_max is {most}.")


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as stream:
            content = stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"The config {path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if len(content) > LARGEST:
        raise ConfigError(f"The config {path} is larger than {LARGEST} bytes; a config is a short text.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"The config {path} is not text in UTF-8: {error}.") from error


def _parse(text: str, path: Path) -> Any:
    if path.suffix == ".json":
        try:
            return json.loads(text, object_pairs_hook=partial(_without_duplicates, path))
        except RecursionError as error:
            raise ConfigError(f"{path} is not a config: it is nested too deeply.") from error
        except ValueError as error:
            raise ConfigError(f"{path} is not JSON: {error}.") from error
    import yaml

    from jetbench.measure import plain_yaml

    try:
        return plain_yaml.load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error


def _without_duplicates(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ConfigError(f"{path}: the key {twice!r} stands twice in one mapping.")
    return found


@cache
def _schema(path: str | None) -> dict[str, Any]:
    place = Path(path) if path else resources.files("jetbench") / "schemas" / SCHEMA
    if not place.is_file():
        raise ConfigError(f"There is no schema {place}.")
    return json.loads(place.read_text(encoding="utf-8"))


def _check_plain(value: Any, where: str, depth: int = 0) -> None:
    """Refuse what Python can hold and a schema lets pass: keys that are no text, numbers without end, deep nesting."""
    if depth > DEEPEST:
        raise ConfigError(f"{where[:200]}: nested more than {DEEPEST} levels deep.")
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where}: the key {key!r} must be a text; write it in quotes if it is a name.")
            _check_plain(entry, f"{where}: {key}", depth + 1)
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            _check_plain(entry, f"{where}[{number}]", depth + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {value} is not allowed; it must be a finite number.")
    elif isinstance(value, int) and abs(value) >= 2**63:
        raise ConfigError(f"{where}: a whole number of {value.bit_length()} bits is not allowed; at most 63 are.")


def _uncapitalized(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def _explain(error: Any) -> str:
    """One sentence for a jsonschema error: where, what was given, what is allowed."""
    if error.validator in ("anyOf", "oneOf") and error.context:
        return _explain_alternatives(error)
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
    prefix = f"{where}: " if where else ""
    rules = error.schema
    if error.validator == "additionalProperties":
        allowed = rules.get("properties", {})
        extra = [key for key in error.instance if key not in allowed]
        return prefix + _uncapitalized(unknown("key", extra[0], allowed))
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{prefix}the key {missing[0]!r} is missing; needed are {', '.join(error.validator_value)}."
    if error.validator == "enum":
        return prefix + _uncapitalized(unknown("value", error.instance, error.validator_value))
    if error.validator == "type":
        kinds = " or ".join(_kinds(error.validator_value))
        return f"{prefix}{error.instance!r} is not allowed; it must be of type {kinds}."
    if error.validator == "pattern":
        return f"{prefix}the name {error.instance!r} is not possible; a name is made of a-z, 0-9 and _, a letter first."
    if error.validator in _BOUNDS:
        bound = f"{_BOUNDS[error.validator]} {error.validator_value}"
        return f"{prefix}{error.instance!r} is not allowed; it must be {bound}."
    if error.validator in _COUNTS:
        count = f"{_COUNTS[error.validator]} {error.validator_value}"
        kind = "characters" if isinstance(error.instance, str) else "entries"
        return f"{prefix}{error.instance!r} is not allowed; it must have {count} {kind}."
    if error.validator == "uniqueItems":
        return f"{prefix}{error.instance!r} is not allowed; every entry may stand there once."
    return f"{prefix}{error.message}."


_BOUNDS = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below"}
_COUNTS = {
    "minItems": "at least",
    "maxItems": "at most",
    "minLength": "at least",
    "maxLength": "at most",
    "minProperties": "at least",
}


def _explain_alternatives(error: Any) -> str:
    """The alternative that fits best: the one whose type is right, else all types that would be."""
    fitting = [e for e in error.context if e.validator not in ("type", "const") or len(e.relative_path)]
    if fitting:
        return _explain(max(fitting, key=lambda e: len(e.absolute_path)))
    kinds = sorted(
        {
            k
            for e in error.context
            for k in ([repr(e.validator_value)] if e.validator == "const" else _kinds(e.validator_value))
        }
    )
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
    return f"{where}: {error.instance!r} is not allowed; it must be of type {' or '.join(kinds)}."


def _kinds(kinds: str | list[str]) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds
