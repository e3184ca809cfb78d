"""Parsing what a stranger sent: no entity, no DTD, no other encoding."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbi.protocol.xml import MAX_ELEMENTS, MalformedXml, parse

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;"><!ENTITY d "&c;&c;&c;&c;&c;&c;&c;">]><rpc x="&d;">&d;</rpc>"""


@pytest.mark.parametrize(
    "data",
    [
        BOMB,
        b"<!DOCTYPE rpc><rpc/>",
        b"<?xml version='1.0'?>\n<!-- <rpc> -->\n<?pi?><!DOCTYPE rpc SYSTEM 'file:///etc/passwd'><rpc/>",
        b"\xef\xbb\xbf<!DOCTYPE rpc><rpc/>",
        "<?xml version='1.0' encoding='UTF-16'?><!DOCTYPE rpc><rpc/>".encode("utf-16"),
        b"<rpc>&undefined;</rpc>",
        b"<rpc>",
        b"<rpc></rpd>",
        b"",
        b"<!-- only a comment",
        b"<rpc>\xff\xfe</rpc>",
        b"<rpc>\x01</rpc>",
        b"<rpc/><rpc/>",
        b"<a>" * 300 + b"</a>" * 300,
        b"<a>" + b"<b/>" * (2 * MAX_ELEMENTS) + b"</a>",
    ],
    ids=range(15),
)
def test_refused(data):
    with pytest.raises(MalformedXml):
        parse(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\n  <?xml version='1.0' encoding='UTF-8'?>\n<!-- c --><rpc/>\n",
        b"<rpc><!-- <!DOCTYPE x> --><?pi?></rpc>",
        b"<rpc><![CDATA[<!DOCTYPE x>]]></rpc>",
        b"\xef\xbb\xbf<rpc/>",
    ],
)
def test_accepted(data):
    root = parse(data)
    assert root.tag == "rpc"
    assert len(root) == 0


def test_external_entities_are_not_read(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("top secret")
    with pytest.raises(MalformedXml) as refused:
        parse(b"<!DOCTYPE r [<!ENTITY x SYSTEM 'file://%b'>]><r>&x;</r>" % str(secret).encode())
    assert "secret" not in str(refused.value)


@given(st.binary(max_size=200))
def test_no_octets_make_it_crash(data):
    with contextlib.suppress(MalformedXml):
        parse(data)
