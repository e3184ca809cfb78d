"""The one error of the codecs."""

from __future__ import annotations


class DecodeError(ValueError):
    """Octets from the network are not what they should be.

    The text says what is wrong and where, for a log line; it holds nothing of the octets but
    numbers, so that it is safe to print.
    """
