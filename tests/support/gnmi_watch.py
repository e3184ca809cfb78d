"""A gNMI subscriber in a process of its own: prints each update as a JSON line.

``python -m tests.support.gnmi_watch ADDRESS CERTIFICATE USER PASSWORD MODE SECONDS PATH…``: MODE is
``on-change`` or ``sample``; SECONDS is the sample interval, or for on-change how far back the history shall
begin (0: no history). PATH has elements parted by ``/``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from telemetry.protocol import gnmi_ext_pb2, gnmi_pb2

MAX_MESSAGE = 16 << 20


def path_of(text: str) -> gnmi_pb2.Path:
    path = gnmi_pb2.Path()
    for element in text.strip("/").split("/"):
        path.elem.add(name=element)
    return path


def text_of(*paths: gnmi_pb2.Path) -> str:
    text = ""
    for path in paths:
        for element in path.elem:
            keys = "".join(f"[{key}={value}]" for key, value in sorted(element.key.items()))
            text += f"/{element.name}{keys}"
    return text


def value_of(value: gnmi_pb2.TypedValue) -> Any:
    kind = value.WhichOneof("value")
    if kind in ("json_ietf_val", "json_val"):
        return json.loads(getattr(value, kind))
    return str(getattr(value, kind or "string_val"))


def request_of(mode: str, seconds: float, paths: list[str]) -> gnmi_pb2.SubscribeRequest:
    subscribe = gnmi_pb2.SubscriptionList(mode=gnmi_pb2.SubscriptionList.STREAM, encoding=gnmi_pb2.PROTO)
    for path in paths:
        subscription = subscribe.subscription.add(path=path_of(path))
        if mode == "sample":
            subscription.mode = gnmi_pb2.SAMPLE
            subscription.sample_interval = int(seconds * 1e9)
        else:
            subscription.mode = gnmi_pb2.ON_CHANGE
    request = gnmi_pb2.SubscribeRequest(subscribe=subscribe)
    if mode == "on-change" and seconds:
        start = time.time_ns() - int(seconds * 1e9)
        history = gnmi_ext_pb2.History(range=gnmi_ext_pb2.TimeRange(start=start))
        request.extension.add(history=history)
    return request


async def watch(address: str, certificate: Path, user: str, password: str, request: Any) -> None:
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    options = [("grpc.max_receive_message_length", MAX_MESSAGE)]
    async with grpc.aio.secure_channel(address, credentials, options) as channel:
        subscribe = channel.stream_stream(
            "/gnmi.gNMI/Subscribe",
            request_serializer=gnmi_pb2.SubscribeRequest.SerializeToString,
            response_deserializer=gnmi_pb2.SubscribeResponse.FromString,
        )
        call = subscribe(metadata=(("username", user), ("password", password)))
        await call.write(request)
        async for response in call:
            if response.sync_response:
                print(json.dumps({"sync": True}), flush=True)
            update = response.update
            for entry in update.update:
                where = text_of(update.prefix, entry.path)
                line = {"path": where, "value": value_of(entry.val), "time": update.timestamp}
                print(json.dumps(line), flush=True)
            for gone in update.delete:
                print(json.dumps({"path": text_of(update.prefix, gone), "deleted": True}), flush=True)


if __name__ == "__main__":
    address, certificate, user, password, mode, seconds, *paths = sys.argv[1:]
    request = request_of(mode, float(seconds), paths)
    asyncio.run(watch(address, Path(certificate), user, password, request))
