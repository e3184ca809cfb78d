"""Checks that Get, Set and Subscribe have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from telemetry.errors import invalid, unimplemented
from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.model import ENCODINGS
from yang.schema import Schema

NOT_PROTOBUF: Final = "the request is not the protobuf message that this RPC takes"
MALFORMED: Final = object()
"""Stands for a request that is not protobuf: gRPC has no status of its own for these."""


def parser(kind: Any) -> Callable[[bytes], Any]:
    """Parses requests of a message type, never raises."""

    def parse(octets: bytes) -> Any:
        try:
            return kind.FromString(octets)
        except DecodeError:
            return MALFORMED

    return parse


def check_encoding(encoding: int) -> None:
    """Raises Refused (UNIMPLEMENTED) for an encoding that Capabilities does not list."""
    if encoding not in ENCODINGS:
        known = ", ".join(pb.Encoding.Name(known) for known in ENCODINGS)
        name = pb.Encoding.Name(encoding) if encoding in pb.Encoding.values() else str(encoding)
        raise unimplemented(f"the encoding {name} is not supported; these are: {known}")


def models_of(schema: Schema, models: Iterable[pb.ModelData]) -> frozenset[str] | None:
    """Names of the modules that a client restricts itself to (use_models); None when it does not.

    Raises Refused (UNIMPLEMENTED) for a model, or a version of one, that this target does not have.
    """
    for model in models:
        module = schema.module(model.name)
        if module is None or (model.version and model.version != module.revision):
            raise unimplemented(f"the model {model.name} {model.version} is not supported".replace("  ", " "))
    return frozenset(model.name for model in models) or None


@dataclass(slots=True)
class Extras:
    """Extensions of a request that reads.

    Attributes:
        depth: levels below the paths, 0: all.
        history: the History extension.
        config_subscription: the request has this extension: it is about configuration alone.
    """

    depth: int = 0
    history: Any = None
    config_subscription: bool = False

    @classmethod
    def of(cls, extensions: Iterable[Any]) -> Extras:
        """What a request carries; registered extensions, which this target has none of, are ignored."""
        found = cls()
        for extension in extensions:
            kind = extension.WhichOneof("ext")
            if kind == "depth":
                found.depth = extension.depth.level
            elif kind == "history":
                found.history = extension.history
            elif kind == "config_subscription":
                if extension.config_subscription.WhichOneof("action") != "start":
                    raise invalid("a client begins a config subscription by the action 'start'")
                found.config_subscription = True
        return found


def prefix_of(request: Any) -> pb.Path:
    """Origin and target of a request's prefix, which each answer repeats."""
    return pb.Path(origin=request.prefix.origin, target=request.prefix.target)
