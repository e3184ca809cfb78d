"""rpc-error as RFC 6241 appendix A and section 4.3 have it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from nbi.protocol.errors import ERROR_TAGS, RpcError, unknown_element, xml_text
from nbi.protocol.names import BASE_NS
from nbi.protocol.paths import instance_identifier_to_xpath
from nbi.protocol.rpc import error_reply, reply_start
from nbi.protocol.xml import parse

NAMESPACES = {"m": "urn:m", "aug": "urn:aug"}
NC = {"nc": BASE_NS}


def test_all_tags_of_appendix_a():
    assert len(ERROR_TAGS) == 20


@pytest.mark.parametrize("tag", sorted(ERROR_TAGS))
def test_every_tag_renders_in_the_order_of_the_schema(tag):
    error = RpcError(
        tag,
        "what is wrong",
        "application",
        path="/m:list[key='it''s']/leaf".replace("''", ""),
        app_tag="must-violation",
        info={"bad-element": "leaf", "bad-attribute": "operation", "session-id": "4"},
    )
    element = parse(error_reply(reply_start(None), [error], NAMESPACES))[0]
    assert [etree.QName(child).localname for child in element] == [
        "error-type",
        "error-tag",
        "error-severity",
        "error-app-tag",
        "error-path",
        "error-message",
        "error-info",
    ]
    assert element.findtext("nc:error-tag", None, NC) == tag
    assert element.findtext("nc:error-severity", None, NC) == "error"
    info = element.find("nc:error-info", NC)
    assert [etree.QName(child).localname for child in info] == ["session-id", "bad-attribute", "bad-element"]


def test_error_path_resolves_with_its_own_namespaces():
    error = RpcError("data-missing", "gone", "application", path="/m:top/list[key='a]b']/aug:leaf")
    element = parse(error_reply(reply_start(None), [error], NAMESPACES)).find(".//nc:error-path", NC)
    assert element.text == "/m:top/m:list[m:key='a]b']/aug:leaf"
    assert element.nsmap["m"] == "urn:m"
    assert element.nsmap["aug"] == "urn:aug"
    data = etree.fromstring(
        "<top xmlns='urn:m'><list><key>a]b</key><leaf xmlns='urn:aug'>v</leaf></list></top>"
    )
    nsmap = {prefix: uri for prefix, uri in element.nsmap.items() if prefix}
    assert [hit.text for hit in data.getroottree().xpath(element.text, namespaces=nsmap)] == ["v"]


@pytest.mark.parametrize(
    "path", ["", "/", "relative", "/m:a[", "/m:a[x]", "/unknown:a", "/a", "//m:a", "/m:a[zz:k='1']"]
)
def test_a_path_that_cannot_be_read_stays_as_it_is(path):
    assert instance_identifier_to_xpath(path, NAMESPACES) == (path, {})


def test_positions_and_leaf_list_predicates():
    xpath, _ = instance_identifier_to_xpath('/m:a[3]/b[.="x\'y"]', NAMESPACES)
    assert xpath == '/m:a[3]/m:b[.="x\'y"]'


@given(st.text(max_size=80))
def test_no_path_makes_it_crash(path):
    instance_identifier_to_xpath("/m:" + path, NAMESPACES)


@given(st.text(max_size=80))
def test_any_text_can_be_in_an_error(text):
    error = RpcError("invalid-value", text, info={"bad-element": text}, path=text)
    reply = parse(error_reply(reply_start(None), [error], NAMESPACES))
    message = reply.findtext(".//nc:error-message", None, NC)
    # A parser reads CR and CR LF that are written as references unchanged.
    assert message == xml_text(text)


def test_tags_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="not an error-tag"):
        RpcError("no-such-tag", "x")
    with pytest.raises(ValueError, match="not an error-type"):
        RpcError("in-use", "x", "nothing")


def test_unknown_element_names_it():
    assert unknown_element(etree.fromstring("<x xmlns='urn:y'/>")).info == {"bad-element": "x"}
