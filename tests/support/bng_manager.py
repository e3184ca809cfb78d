"""A BNG as its managers see it: over NETCONF with ncclient, over gNMI from a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from lxml import etree

from tests.support.bng_world import ADMIN, ADMIN_PASSWORD, GNMI_PORT, World
from tests.support.servers import wait_for

SUBSCRIBER = "urn:aether:yang:aether-subscriber"

_GNMI_GET = """
import asyncio, json, sys
import grpc
from telemetry.protocol import gnmi_pb2 as pb
port, certificate, user, password, *elements = sys.argv[1:]
async def main():
    credentials = grpc.ssl_channel_credentials(open(certificate, "rb").read())
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        get = channel.unary_unary("/gnmi.gNMI/Get", request_serializer=pb.GetRequest.SerializeToString,
            response_deserializer=pb.GetResponse.FromString)
        path = pb.Path()
        for element in elements:
            name, *keys = element.split("[")
            made = path.elem.add(name=name)
            for pair in keys:
                key, _, value = pair.rstrip("]").partition("=")
                made.key[key] = value
        request = pb.GetRequest(path=[path], encoding=pb.JSON_IETF)
        answer = await get(request, metadata=(("username", user), ("password", password)))
        print(json.dumps([json.loads(u.val.json_ietf_val) for n in answer.notification for u in n.update]))
asyncio.run(main())
"""


def sessions(netconf: Any) -> list[dict[str, str]]:
    """All sessions: leaf name → text, without regard to containers."""
    wanted = f'<sessions xmlns="{SUBSCRIBER}"/>'
    tree = etree.fromstring(netconf.get(("subtree", wanted)).data_xml.encode())
    return [
        {etree.QName(leaf).localname: leaf.text or "" for leaf in entry.iter() if not len(leaf)}
        for entry in tree.iter(f"{{{SUBSCRIBER}}}session")
    ]


def session_of(netconf: Any, number: int) -> dict[str, str] | None:
    """The session of an access line of node-1, or None."""
    return next((one for one in sessions(netconf) if one["circuit-id"] == f"1/0/{number}"), None)


def wait_status(bng: World, number: int, status: str, within: float = 15) -> dict[str, str]:
    """Wait until a line's session has a status; the session."""
    with bng.netconf() as netconf:

        def reached() -> dict[str, str] | None:
            found = session_of(netconf, number)
            return found if found is not None and found["status"] == status else None

        found = wait_for(f"line {number} is {status}", reached, within)
        assert isinstance(found, dict)
        return found


def act(bng: World, session_id: str, action: str) -> str:
    """An action on a session; the reply."""
    with bng.netconf() as netconf:
        return rpc(
            netconf,
            f'<action xmlns="urn:ietf:params:xml:ns:yang:1"><sessions xmlns="{SUBSCRIBER}"><session>'
            f"<id>{session_id}</id>{action}</session></sessions></action>",
        )


def rpc(netconf: Any, text: str) -> str:
    """Any RPC; the reply. Raises RPCError."""
    return str(netconf.dispatch(etree.fromstring(text)))


def gnmi_get(bng: World, *elements: str) -> list[Any]:
    """Values of a path given by its elements, ``name`` or ``name[key=value][…]``; without module names."""
    certificate = bng.state_dir / "tls" / "cert.pem"
    done = subprocess.run(
        ["ip", "netns", "exec", bng.namespaces.name("b"), sys.executable, "-c", _GNMI_GET, str(GNMI_PORT),
         str(certificate), ADMIN, ADMIN_PASSWORD, *elements],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(_plain(json.loads(done.stdout)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.rpartition(":")[2]: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def accounting(bng: World, session_id: str, status: str) -> list[dict[str, str]]:
    """Accounting records of a session: ``Start``, ``Interim-Update`` or ``Stop``."""
    return [
        record
        for record in bng.radius.accounting()
        if record.get("Acct-Session-Id") == session_id and record.get("Acct-Status-Type") == status
    ]
