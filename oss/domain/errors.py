"""What can be wrong with a request, for whoever asks: each becomes one HTTP status."""

from __future__ import annotations


class DomainError(Exception):
    """Base; the text is a sentence for a person."""

    status = 400


class NotFound(DomainError):
    status = 404


class Conflict(DomainError):
    status = 409


class Invalid(DomainError):
    status = 422


class BngRefused(DomainError):
    """A BNG answered with an error."""

    status = 409


class BngUnreachable(DomainError):
    """A BNG could not be asked, or did not answer in time."""

    status = 502
