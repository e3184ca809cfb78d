"""What decides who comes in, and what is kept at rest: certificates, sealed values, documents of a
configuration; and XPath as clients may write it, against data."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

import asyncssh

from nbi.protocol import certificate
from nbi.protocol.names import BASE_NS
from tests.contract.netconf import element
from tests.fuzz.of_netconf import Messages
from tests.fuzz.runner import Target
from yang.datastore.validator import Validator
from yang.provider import OperationError, OperationErrors
from yang.sealing import Sealer, SealError

_TEXTS = [
    b"/h:shaping-profiles/h:profile[h:name='gold' or position() = last()]/h:download/h:rate",
    b'//s:session[s:status="active"][count(../s:session) > 1]/s:counters/*[. > 10 and . mod 2 = 0]',
    b"/s:sessions/s:session[number(substring(s:id, 3, 4)) >= 0]/ancestor-or-self::node() | //h:profile",
    b"//*[contains(translate(string(.), 'abc', 'ABC'), concat('G', 'old'))]/following-sibling::*[1]",
    b"/*[not(starts-with(name(), 'x')) and string-length(normalize-space(.)) > 3]/descendant::text()/..",
    b"//h:rate[sum(//h:rate) div 2 < . + 1][re-match(., '[0-9]+')]",
]
_WORDS = [
    *[
        b"//",
        b"..",
        b"[1]",
        b"*",
        b" | ",
        b" and ",
        b" or ",
        b"not(",
        b")",
        b"(",
        b"::",
        b"-",
        b" div 0",
        b"'",
    ],
    *[b"preceding::", b"ancestor::", b"following::", b"last()", b"position()", b"count(//*)", b"string(/)"],
    *[b"deref(.)", b"bit-is-set(., 'x')", b"enum-value(.)", b"derived-from(., 'x:y')", b"current()", b"1e9"],
    *[
        b"re-match(., '(a*)*b')",
        b"round(-0.5)",
        b"substring('x', 0 div 0, 1 div 0)",
        b"lang('x')",
        b"id('x')",
    ],
]


def targets() -> Iterator[Target]:
    yield Target("xpath-filter", _TEXTS, Filters("viewer"), tokens=_WORDS, slow=True)
    yield Target("ssh-certificate", _certificates(), _certificate)
    yield Target("sealed-value", [_SEALED.encode()], _sealed, tokens=[b"sealed:", b":", b"="])
    yield Target(
        "configuration", [json.dumps(element.startup()).encode()], Documents(), tokens=_JSON, slow=True
    )


class Filters(Messages):
    """An XPath as the filter of a get, by a user who may not read everything."""

    async def say(self, data: bytes) -> bool:
        text = re.sub(r"[^\x20-\ud7ff]", "", data.decode("utf-8", "replace"))
        prefixes = "xmlns:s='urn:aether:yang:aether-subscriber' xmlns:h='urn:aether:yang:aether-shaping'"
        wanted = f"<filter type='xpath' {prefixes} select=\"{escape(text)}\"/>"
        request = f"<rpc xmlns='{BASE_NS}' message-id='1'><get>{wanted}</get></rpc>"
        await super().say(request.encode())
        return self.reply is not None and self.reply.find(f"{{{BASE_NS}}}rpc-error") is None


def _certificates() -> list[bytes]:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    key = asyncssh.generate_private_key("ssh-ed25519")
    made = authority.generate_user_certificate(key, "id", principals=["admin"], force_command="x")
    return [made.public_data]


def _certificate(data: bytes) -> bool:
    try:
        certificate.parse_certificate(data)
    except certificate.Malformed:
        return False
    return True


_FOLDER = tempfile.TemporaryDirectory(prefix="aether-fuzz-")
_SEALER = Sealer(Path(_FOLDER.name))
_SEALED = _SEALER.seal("secret", "/place")


def _sealed(data: bytes) -> bool:
    text = data.decode("utf-8", "replace")
    try:
        opened = _SEALER.open(text, "/place")
    except SealError:
        return False
    assert opened in ("secret", text), "a sealed value opened as something else"
    return True


_JSON = [b"null", b"[]", b"{}", b'"x"', b"-1", b"1e9", b"true", b'"$0$x"', b'"sealed:x:y"', b"[null]"]


class Documents:
    """Configurations on disk, which a crash or an editor may have spoiled."""

    def __init__(self) -> None:
        self._validator: Validator | None = None

    def __call__(self, data: bytes) -> bool:
        if self._validator is None:
            with tempfile.TemporaryDirectory() as folder:
                served = asyncio.run(element.open_element(Path(folder), 1))
            self._validator = served.tree.datastores._validator
        try:
            self._validator.complete(self._validator.load(data))
        except (OperationError, OperationErrors):
            return False
        return True
