"""Ranges, lengths and patterns of compiled types, which the binding shows of a leaf's own statement only.

The layouts are those of libyang 2 (``tree_schema.h``); a test reads known types through them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from _libyang import ffi, lib

_LENGTHS: Final = {lib.LY_TYPE_STRING: "struct lysc_type_str *", lib.LY_TYPE_BINARY: "struct lysc_type_bin *"}
_SIGNED: Final = frozenset({lib.LY_TYPE_INT8, lib.LY_TYPE_INT16, lib.LY_TYPE_INT32, lib.LY_TYPE_INT64})
_UNSIGNED: Final = frozenset({lib.LY_TYPE_UINT8, lib.LY_TYPE_UINT16, lib.LY_TYPE_UINT32, lib.LY_TYPE_UINT64})
_NO_BOUND: Final = 0xFFFFFFFFFFFFFFFF
_INVERTED: Final = 14
"""Place of the flag in ``struct lysc_pattern``, in words of 32 bits: seven pointers are before it."""


def limits_of(ctype: Any) -> str:
    """The range or length that values of a type have to keep, as YANG writes it; "" for none."""
    base = ctype.basetype
    if base in _LENGTHS:
        return " | ".join(_parts(ffi.cast(_LENGTHS[base], ctype).length, "uint64_t *", 0))
    if base in _SIGNED:
        return " | ".join(_parts(ffi.cast("struct lysc_type_num *", ctype).range, "int64_t *", 0))
    if base in _UNSIGNED:
        return " | ".join(_parts(ffi.cast("struct lysc_type_num *", ctype).range, "uint64_t *", 0))
    if base == lib.LY_TYPE_DEC64:
        decimal = ffi.cast("struct lysc_type_dec *", ctype)
        return " | ".join(_parts(decimal.range, "int64_t *", decimal.fraction_digits))
    return ""


def _parts(crange: Any, word: str, digits: int) -> Iterator[str]:
    if crange == ffi.NULL:
        return
    parts = ffi.cast("void **", crange)[0]
    if parts == ffi.NULL:
        return
    bounds = ffi.cast(word, parts)
    for index in range(ffi.cast("uint64_t *", parts)[-1]):
        low, high = int(bounds[2 * index]), int(bounds[2 * index + 1])
        first, last = _number(low, digits), "max" if high == _NO_BOUND else _number(high, digits)
        yield first if first == last else f"{first}..{last}"


def _number(value: int, digits: int) -> str:
    if not digits:
        return str(value)
    sign, whole = ("-" if value < 0 else ""), str(abs(value)).rjust(digits + 1, "0")
    return f"{sign}{whole[:-digits]}.{whole[-digits:].rstrip('0') or '0'}"


def patterns_of(ctype: Any) -> tuple[str, ...]:
    """All patterns that text of a type has to match; an inverted one has ``not`` in front."""
    if ctype.basetype != lib.LY_TYPE_STRING:
        return ()
    patterns = ffi.cast("struct lysc_type_str *", ctype).patterns
    if patterns == ffi.NULL:
        return ()
    found = []
    for index in range(ffi.cast("uint64_t *", patterns)[-1]):
        pattern = patterns[index]
        text = ffi.string(ffi.cast("char **", pattern)[0]).decode()
        inverted = ffi.cast("uint32_t *", pattern)[_INVERTED] & 1
        found.append(f"not {text}" if inverted else text)
    return tuple(dict.fromkeys(found))
