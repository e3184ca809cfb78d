"""Which notifications a subscriber wants."""

import time

import pytest
from lxml import etree

from nbi.protocol.event_filter import subtree_filter, xpath_filter

EVENT = etree.fromstring(
    "<stop xmlns='urn:e'><seq>7</seq><line><remote>an-1</remote><circuit>1/0/3</circuit></line></stop>"
)


@pytest.mark.parametrize(
    ("branches", "passes"),
    [
        ("", False),
        ("<stop xmlns='urn:e'/>", True),
        ("<stop xmlns=''/>", True),
        ("<stop xmlns='urn:other'/>", False),
        ("<start xmlns='urn:e'/>", False),
        ("<start xmlns='urn:e'/><stop xmlns='urn:e'/>", True),
        ("<stop xmlns='urn:e'><seq>7</seq></stop>", True),
        ("<stop xmlns='urn:e'><seq> 7\n</seq></stop>", True),
        ("<stop xmlns='urn:e'><seq>8</seq></stop>", False),
        ("<stop xmlns='urn:e'><line/></stop>", True),
        ("<stop xmlns='urn:e'><nothing/></stop>", False),
        ("<stop xmlns='urn:e'><nothing/><seq/></stop>", True),
        ("<stop xmlns='urn:e'><seq>7</seq><nothing/></stop>", False),
        ("<stop xmlns='urn:e'><line><remote>an-1</remote></line></stop>", True),
        ("<stop xmlns='urn:e'><line><remote>an-1</remote><circuit>x</circuit></line></stop>", False),
        ("<stop xmlns='urn:e'><line><remote>an-2</remote></line></stop>", False),
        ("<stop xmlns='urn:e' kind='x'/>", False),
    ],
)
def test_subtree(branches, passes):
    element = etree.fromstring(f"<filter>{branches}</filter>")
    assert subtree_filter(element)(EVENT) is passes


@pytest.mark.parametrize(
    ("expression", "passes"),
    [
        ("/e:stop", True),
        ("/e:start", False),
        ("/e:stop[e:line/e:remote='an-1']", True),
        ("/e:stop[e:seq > 7]", False),
        ("/e:stop/e:seq = 7", True),
        ("/e:start | /e:stop", True),
        ("count(/e:stop/e:nothing)", False),
        ("/stop", False),
    ],
)
def test_xpath(expression, passes):
    assert xpath_filter(expression, {"e": "urn:e", None: "urn:x"})(EVENT) is passes


@pytest.mark.parametrize("expression", ["", "/e:stop[", "///", "1 +", "/zz:stop", "no-such-function()"])
def test_not_an_xpath(expression):
    with pytest.raises(ValueError, match="not an XPath"):
        xpath_filter(expression, {"e": "urn:e"})


def test_predicates_are_not_nested_without_end():
    nested = "*"
    for _ in range(20):
        nested = f"//*[{nested}]"
    with pytest.raises(ValueError, match="nested"):
        xpath_filter(nested, {})
    began = time.process_time()
    content = etree.fromstring("<a>" + "<b/>" * 40 + "</a>")
    assert xpath_filter("//*[count(//*[not(*[. = 'x'])]) > 0]", {})(content)
    assert time.process_time() - began < 10
    assert not xpath_filter("//*[. = '[[[[']", {})(content)


@pytest.mark.parametrize(
    "expression",
    [
        "//*[//*[//*='q']]",
        "//*[//*[x][//*]]",
        "/*/*[/*/*[/*/*]]",
        "//*[" + " or ".join(["//*='q'"] * 300) + "]",
    ],
)
def test_a_filter_that_holds_up_the_loop_is_refused(expression):
    """A commit is told of with 100 edits, which such a filter would look at for seconds."""
    with pytest.raises(ValueError, match="too many nodes"):
        xpath_filter(expression, {})


@pytest.mark.parametrize(
    "expression",
    [
        "//*[//*='q']",
        "/a[b[c[d]]]",
        "//a[b][c]//d[e and contains(f/g, '/x//y[')]",
        " or ".join(["//*='q'"] * 300),
    ],
)
def test_a_filter_that_does_not_is_taken(expression):
    xpath_filter(expression, {})
