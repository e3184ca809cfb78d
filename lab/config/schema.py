"""The JSON Schema of ``aether.config.yaml``: findings in plain words, and defaults filled in."""

from __future__ import annotations

import copy
import difflib
import functools
import json
from collections.abc import Callable, Iterator
from importlib import resources
from ipaddress import AddressValueError, IPv4Address, IPv4Interface, IPv4Network, NetmaskValueError
from typing import Any

import jsonschema
from jsonschema.exceptions import ValidationError

from lab.config.document import DataPath, Document
from lab.config.errors import Problem

SCHEMA_FILE = "aether.config.schema.json"

_FORMAT_HINTS = {
    "ipv4": "an IPv4 address such as 198.18.0.10",
    "ipv4-interface": "an address with its prefix length, such as 198.18.0.10/24",
    "ipv4-prefix": "a network such as 198.18.0.0/24, host bits zero",
}
_TYPE_NAMES = {
    "object": "a block of keys",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
}


@functools.cache
def schema() -> dict[str, Any]:
    """The schema as published for editors."""
    text = resources.files("lab.config").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def _parses(parse: Callable[[str], Any], value: object) -> bool:
    if not isinstance(value, str):
        return True  # the type is the schema's affair
    try:
        parse(value)
    except (AddressValueError, NetmaskValueError, ValueError):
        return False
    return True


def _interface(value: str) -> IPv4Interface:
    if "/" not in value:
        raise ValueError(value)
    return IPv4Interface(value)


def _format_checker() -> jsonschema.FormatChecker:
    checker = jsonschema.FormatChecker(formats=())
    checker.checks("ipv4")(lambda value: _parses(IPv4Address, value))
    checker.checks("ipv4-interface")(lambda value: _parses(_interface, value))
    checker.checks("ipv4-prefix")(lambda value: _parses(IPv4Network, value))
    return checker


def schema_problems(document: Document) -> list[Problem]:
    """Everything in which the file departs from the schema."""
    validator = jsonschema.Draft202012Validator(schema(), format_checker=_format_checker())
    found: list[Problem] = []
    for error in validator.iter_errors(document.data):
        found.extend(_explain(document, error))
    return sorted(set(found))


def _explain(document: Document, error: ValidationError) -> Iterator[Problem]:
    where: DataPath = tuple(error.absolute_path)
    value: Any = error.instance
    rule: Any = error.validator
    parent: Any = error.schema
    limit: Any = error.validator_value
    if rule == "additionalProperties":
        for key in value:
            if key not in parent["properties"]:
                yield document.problem((*where, key), _unknown_key(key, list(parent["properties"])))
    elif rule == "required":
        missing = [key for key in limit if key not in value]
        for key in missing:
            yield document.problem(where, f'lacks the key "{key}"; add it')
    else:
        yield document.problem(where, _sentence(error))


def _unknown_key(key: str, allowed: list[str]) -> str:
    close = difflib.get_close_matches(key, allowed, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(sorted(allowed))}"
    return f"is not a known key; {hint}"


def _sentence(error: ValidationError) -> str:
    value = _shown(error.instance)
    limit: Any = error.validator_value
    parent: Any = error.schema
    match error.validator:
        case "type":
            return f"is {value}, but must be {_TYPE_NAMES[limit]}"
        case "format":
            return f"is {value}, which is not {_FORMAT_HINTS[limit]}"
        case "enum":
            return f"is {value}; choose one of: {', '.join(str(choice) for choice in limit)}"
        case "pattern":
            return f"is {value}, which does not fit. {parent.get('description', f'Pattern: {limit}')}"
        case "minimum":
            return f"is {value}; the least is {limit}"
        case "maximum":
            return f"is {value}; the most is {limit}"
        case "minLength":
            return "must not be empty"
        case "maxLength":
            return f"is longer than {limit} characters"
        case "minItems":
            return f"needs at least {limit} entry"
        case "maxItems":
            return f"has more than {limit} entries"
        case "oneOf":
            return f"is {value}, which is neither {_FORMAT_HINTS['ipv4-prefix']} nor a list of them"
        case _:
            return error.message


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def with_defaults(data: Any) -> dict[str, Any]:
    """A copy of valid data in which every key that has a default is present."""
    filled: dict[str, Any] = _fill(copy.deepcopy(data), schema())
    return filled


def _fill(value: Any, rule: dict[str, Any]) -> Any:
    rule = _resolve(rule)
    if isinstance(value, dict):
        for key, child in rule.get("properties", {}).items():
            default = child.get("default")
            if key not in value and default is not None:
                value[key] = copy.deepcopy(default)
            if key in value:
                value[key] = _fill(value[key], child)
    elif isinstance(value, list) and "items" in rule:
        value = [_fill(item, rule["items"]) for item in value]
    return value


def _resolve(rule: dict[str, Any]) -> dict[str, Any]:
    reference = rule.get("$ref")
    if reference is None:
        return rule
    name = reference.removeprefix("#/$defs/")
    resolved: dict[str, Any] = schema()["$defs"][name]
    return resolved
