"""libyang as the judge of whole replies."""

from lxml import etree

from nbi.server import MODULES_DIR
from yang.datastore.context import load_context


async def test_libyang_reads_the_whole_reply(serve):
    """As the viewer, who is not shown secrets."""
    served = await serve(500, user="viewer")
    client = await served.client()
    data = (await client.rpc("<get/>")).find("{*}data")
    tops = {etree.QName(child).localname for child in data}
    assert {
        "bng",
        "shaping-profiles",
        "sessions",
        "events",
        "netconf-state",
        "netconf",
        "yang-library",
    } <= tops
    context = load_context([MODULES_DIR])
    text = "".join(etree.tostring(child, encoding="unicode") for child in data)
    tree = context.parse_data_mem(text, "xml", parse_only=True, strict=True)
    assert tree is not None
    tree.free()


async def test_every_state_record_of_the_server_is_valid(serve):
    served = await serve()
    client = await served.client()
    reply = await client.rpc(
        "<get><filter><netconf-state xmlns='urn:ietf:params:xml:ns:yang:ietf-netconf-monitoring'/>"
        "<netconf xmlns='urn:ietf:params:xml:ns:netmod:notification'/></filter></get>"
    )
    context = load_context([MODULES_DIR])
    text = "".join(etree.tostring(child, encoding="unicode") for child in reply.find("{*}data"))
    tree = context.parse_data_mem(text, "xml", strict=True, validate_present=True)
    assert tree is not None
    tree.free()
