"""Numbers of XPath 1.0 (sections 3.5, 4.2 and 4.4): IEEE 754, which knows no error."""

from __future__ import annotations

import math
from functools import lru_cache


@lru_cache(maxsize=4096)
def text_number(text: str) -> float:
    """number() of a text: NaN for what is none."""
    stripped = text.strip(" \t\r\n")
    body = stripped[1:] if stripped.startswith("-") else stripped
    whole, dot, fraction = body.partition(".")
    digits = whole + fraction
    if not digits or not (digits.isascii() and digits.isdigit()) or (dot and not (whole or fraction)):
        return math.nan
    return float(stripped)


def number_text(value: float) -> str:
    """string() of a number."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == int(value):
        return str(int(value))
    text = repr(value)
    return f"{value:.20f}".rstrip("0") if "e" in text else text


def arithmetic(operator: str, left: float, right: float) -> float:
    """The value of ``+``, ``-``, ``*``, ``div`` or ``mod``."""
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    if operator == "*":
        return left * right
    if operator == "mod":
        if math.isinf(right) and math.isfinite(left):
            return left
        return math.nan if right == 0 or not math.isfinite(left) else math.fmod(left, right)
    if right == 0:
        if left == 0 or math.isnan(left):
            return math.nan
        return math.copysign(math.inf, left) * math.copysign(1, right)
    return left / right
