"""Text form of octets that came from the network.

circuit-id and remote-id may hold any octet; the model, the User-Name and SQL see printable ASCII
only. Octets outside of ``!`` … ``~``, and ``%`` itself, are written ``%XX`` (upper-case), so two
different values never get the same text and the octets can be had back.

The YANG type agent-id holds 63 characters. A longer text is cut to 46 and gets ``%`` ``~`` and 15
hex digits of its SHA-256: as ``~`` never follows a ``%`` otherwise, it cannot collide with a short one.
"""

from __future__ import annotations

import hashlib

from bng.codec.errors import DecodeError

MAX_AGENT_ID = 63
_KEPT = 46
_DIGEST = 15

_ESCAPED = [chr(c) if 0x21 <= c <= 0x7E and c != 0x25 else f"%{c:02X}" for c in range(256)]
_UNPRINTABLE = {c: f"%{c:02X}" for c in (*range(0x20), 0x7F)}
# Further control characters, line separators, and what turns the direction of the text around it
_DECEPTIVE = (
    *range(0x80, 0xA0),
    0x2028,
    0x2029,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
    0xFFFE,
    0xFFFF,
)
_UNPRINTABLE |= dict.fromkeys(_DECEPTIVE, "\ufffd")


def clean_agent_id(octets: bytes) -> str:
    """The agent-id text of a circuit-id or remote-id, 1 to 63 characters of ``!``–``~``.

    Raises:
        DecodeError: it is empty.
    """
    if not octets:
        raise DecodeError("empty circuit-id or remote-id")
    text = "".join([_ESCAPED[c] for c in octets])
    if len(text) <= MAX_AGENT_ID:
        return text
    digest = hashlib.sha256(octets).hexdigest()[:_DIGEST]
    return f"{text[:_KEPT]}%~{digest}"


def restore_agent_id(text: str) -> bytes:
    """The octets of a text that `clean_agent_id` did not have to cut.

    Raises:
        DecodeError: the text was cut, or was not made by `clean_agent_id`.
    """
    out = bytearray()
    position = 0
    while position < len(text):
        character = text[position]
        if character != "%":
            if not "!" <= character <= "~":
                raise DecodeError("not an agent-id")
            out.append(ord(character))
            position += 1
            continue
        digits = text[position + 1 : position + 3]
        if len(digits) != 2 or not all(d in "0123456789ABCDEF" for d in digits):
            raise DecodeError("not a whole agent-id")
        out.append(int(digits, 16))
        position += 3
    return bytes(out)


def clean_message(octets: bytes, limit: int = 253) -> str:
    """Text for people (Reply-Message) from octets of the network: UTF-8 where it is, control
    characters as ``%XX``, characters that XML 1.0 forbids or that deceive a reader replaced, at most
    `limit` characters."""
    return octets.decode("utf-8", "replace").translate(_UNPRINTABLE)[:limit]
