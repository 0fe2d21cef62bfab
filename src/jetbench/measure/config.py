"""Reading and checking a config: YAML or JSON, against workflows/schemas/config.schema.json, with errors that help."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jetbench.errors import ConfigError
from jetbench.measure.case import AXES, DEVICES

SCHEMA = "config.schema.json"
BUDGET = {
    "point_s": 8.0,
    "first_call_s": 300.0,
    "samples_min": 5,
    "samples_max": 200,
    "interval": 0.02,
    "gradient": True,
    "memory": True,
}
_KEYS = ("preset", "device", "threads", "budget", "operators_file", "studies", "training", "report", "machine")


def load(path: str | Path, schema: str | Path | None = None) -> dict[str, Any]:
    """A validated config from a YAML or JSON file. A relative `operators_file` is taken from the config's folder, or
    from the working directory if it is not there.

    Raises:
        ConfigError: it cannot be read, or a key or value is wrong; the message names it and what is allowed.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"The config {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"The config {path} is not text in UTF-8: {error}.") from error
    config = _parse(text, path)
    validate(config, schema, str(path))
    if config.get("operators_file"):
        beside = path.parent / config["operators_file"]
        config["operators_file"] = str(beside if beside.exists() else config["operators_file"])
    return config


def budget(config: Mapping[str, Any]) -> dict[str, Any]:
    """The budget of a point, completed with the defaults."""
    return {**BUDGET, **(config.get("budget") or {})}


def limit_s(point_budget: Mapping[str, Any]) -> float:
    """After how many seconds a point is stopped from outside: everything that is not sampling has first_call_s, and
    sampling three times point_s, because a call that has begun is not interrupted by the clock."""
    return float(point_budget["first_call_s"]) + 3 * float(point_budget["point_s"])


def validate(config: Any, schema: str | Path | None = None, source: str = "config") -> None:
    """Check a config against the schema; without jsonschema or the schema's file, only its top level.

    Raises:
        ConfigError: names the key or value that is wrong and what is allowed.
    """
    if not isinstance(config, dict) or not isinstance(config.get("studies"), dict):
        raise ConfigError(f"{source}: a config is a mapping with a key `studies`; see workflows/config/cpu.yaml.")
    _check_plain(config, source)
    rules = _schema(str(schema) if schema else None)
    try:
        from jsonschema import Draft202012Validator
    except ImportError:
        rules = None
    if rules is None:
        _check_top_level(config, source)
        return
    errors = sorted(Draft202012Validator(rules).iter_errors(config), key=lambda e: [str(p) for p in e.absolute_path])
    if errors:
        more = f" ({len(errors) - 1} more after it)" if len(errors) > 1 else ""
        raise ConfigError(f"{source}: {_explain(errors[0])}{more}")


def _parse(text: str, path: Path) -> Any:
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{path} is not JSON: {error}.") from error
    try:
        import yaml
    except ImportError:
        raise ConfigError(
            f"{path} is YAML, and PyYAML is not installed here. Install it, or give the config as JSON: "
            f"`jetbench plan --config {path} --json {path.stem}.json` writes it where PyYAML is at hand."
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML: {' '.join(str(error).split())}.") from error


@cache
def _schema(path: str | None) -> dict[str, Any] | None:
    here = Path(__file__).resolve()
    places: list[Any] = [Path(path)] if path else [
        here.parents[3] / "workflows" / "schemas" / SCHEMA,
        resources.files("jetbench") / "schemas" / SCHEMA,
        Path("workflows/schemas") / SCHEMA,
    ]  # fmt: skip
    for place in places:
        if place.is_file():
            return json.loads(place.read_text(encoding="utf-8"))
    if path:
        raise ConfigError(f"There is no schema {path}.")
    return None


def _check_plain(value: Any, where: str) -> None:
    """Refuse what YAML can hold and a schema lets pass: keys that are no text, and numbers that are not finite."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                raise ConfigError(f"{where}: the key {key!r} must be a text; write it in quotes if it is a name.")
            _check_plain(entry, f"{where}: {key}")
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            _check_plain(entry, f"{where}[{number}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where}: {value} is not allowed; it must be a finite number.")


def _check_top_level(config: Mapping[str, Any], source: str) -> None:
    _reject_unknown(config, _KEYS, source)
    _reject_unknown(config.get("budget") or {}, BUDGET, f"{source}: budget")
    if config.get("device", "auto") not in DEVICES:
        raise ConfigError(f"{source}: device: {config['device']!r} is not allowed; allowed are {', '.join(DEVICES)}.")
    for name, study in config["studies"].items():
        for key in ("axis", "methods", "cases"):
            if not isinstance(study, Mapping) or key not in study:
                raise ConfigError(f"{source}: studies.{name}: the key {key!r} is missing.")
        if study["axis"] not in AXES:
            raise ConfigError(
                f"{source}: studies.{name}.axis: {study['axis']!r} is not allowed; allowed are {', '.join(AXES)}."
            )


def _reject_unknown(given: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    unknown = [key for key in given if key not in allowed]
    if unknown:
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}; allowed are {', '.join(allowed)}.")


def _explain(error: Any) -> str:
    """One sentence for a jsonschema error: where, what was given, what is allowed."""
    if error.validator in ("anyOf", "oneOf") and error.context:
        return _explain_alternatives(error)
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
    prefix = f"{where}: " if where else ""
    rules = error.schema
    if error.validator == "additionalProperties":
        allowed = rules.get("properties", {})
        unknown = [key for key in error.instance if key not in allowed]
        return f"{prefix}unknown key {unknown[0]!r}; allowed are {', '.join(allowed)}."
    if error.validator == "propertyNames":
        return f"{prefix}the name {error.instance!r} is not possible: {error.message}."
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"{prefix}the key {missing[0]!r} is missing; needed are {', '.join(error.validator_value)}."
    if error.validator == "enum":
        return f"{prefix}{error.instance!r} is not allowed; allowed are {', '.join(map(str, error.validator_value))}."
    if error.validator == "type":
        kinds = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
        return f"{prefix}{error.instance!r} is not allowed; it must be of type {' or '.join(kinds)}."
    return f"{prefix}{error.message}."


def _explain_alternatives(error: Any) -> str:
    """The alternative that fits best: the one whose type is right, else all types that would be."""
    fitting = [e for e in error.context if e.validator != "type" or len(e.relative_path)]
    if fitting:
        return _explain(max(fitting, key=lambda e: len(e.absolute_path)))
    kinds = sorted(
        {
            k
            for e in error.context
            for k in ([e.validator_value] if isinstance(e.validator_value, str) else e.validator_value)
        }
    )
    where = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in error.absolute_path).lstrip(".")
    return f"{where}: {error.instance!r} is not allowed; it must be of type {' or '.join(kinds)}."
