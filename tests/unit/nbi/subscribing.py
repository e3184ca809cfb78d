"""What tests of dynamic subscriptions say and read."""

from lxml import etree

SN = "urn:ietf:params:xml:ns:yang:ietf-subscribed-notifications"
YP = "urn:ietf:params:xml:ns:yang:ietf-yang-push"
NOTIFICATION = "urn:ietf:params:xml:ns:netconf:notification:1.0"
SUBSCRIBER = "urn:aether:yang:aether-subscriber"
START = 1_790_000_000_000_000_000
NC = "urn:ietf:params:xml:ns:netconf:base:1.0"


DS = "urn:ietf:params:xml:ns:yang:ietf-datastores"
SHAPING = "urn:aether:yang:aether-shaping"
SESSIONS = f"<sessions xmlns='{SUBSCRIBER}'><session/></sessions>"
ALL = "/aether-subscriber:sessions/aether-subscriber:session"
PROFILES = f"<shaping-profiles xmlns='{SHAPING}'/>"


def establish(inner: str) -> str:
    return f"<establish-subscription xmlns='{SN}' xmlns:yp='{YP}'>{inner}</establish-subscription>"


def stream(inner: str = "") -> str:
    return establish(f"<stream>NETCONF</stream>{inner}")


def modify(identifier: int, inner: str) -> str:
    content = f"<id>{identifier}</id>{inner}"
    return f"<modify-subscription xmlns='{SN}' xmlns:yp='{YP}'>{content}</modify-subscription>"


def delete(identifier: int) -> str:
    return f"<delete-subscription xmlns='{SN}'><id>{identifier}</id></delete-subscription>"


async def established(client, operation: str) -> int:
    reply = await client.rpc(operation)
    identifier = reply.findtext(f"{{{SN}}}id")
    assert identifier is not None, etree.tostring(reply).decode()
    return int(identifier)


async def next_event(client) -> etree._Element:
    return (await client.notification())[1]


def name(event: etree._Element) -> str:
    return etree.QName(event).localname


def end_session(served, number: int) -> None:
    element = served.element
    element.end(element.sessions.by_id[f"{number:016x}"], None)


def problem(error: etree._Element) -> tuple[str, str, str, str]:
    """Tag, app-tag, structure and reason of an rpc-error."""
    structure = error.find(f"{{{NC}}}error-info/*")
    assert error.findtext(f"{{{NC}}}error-type") == "application"
    reason = structure.findtext("{*}reason")
    prefix, _, local = reason.partition(":")
    module = structure.find("{*}reason").nsmap[prefix].rpartition(":")[2]
    return (
        error.findtext(f"{{{NC}}}error-tag"),
        error.findtext(f"{{{NC}}}error-app-tag"),
        name(structure),
        f"{module}:{local}",
    )


def on(datastore: str, filter: str, trigger: str) -> str:
    return establish(
        f"<yp:datastore xmlns:ds='{DS}'>ds:{datastore}</yp:datastore>"
        f"{f'<yp:datastore-subtree-filter>{filter}</yp:datastore-subtree-filter>' if filter else ''}{trigger}"
    )


def by_xpath(expression: str) -> str:
    return f"<yp:datastore-xpath-filter>{expression}</yp:datastore-xpath-filter>"


def periodic(period: int, inner: str = "") -> str:
    return f"<yp:periodic><yp:period>{period}</yp:period>{inner}</yp:periodic>"


def on_change(inner: str = "") -> str:
    return f"<yp:on-change>{inner}</yp:on-change>"


NO_SYNC = "<yp:sync-on-start>false</yp:sync-on-start>"


def session(number: int) -> str:
    return f"{number:016x}"


class Subscriber:
    """A client that checks every notification."""

    def __init__(self, served, client, judge) -> None:
        self.served = served
        self.client = client
        self._judge = judge
        self.patches: list[int] = []

    async def event(self) -> etree._Element:
        message = await self.client.notification()
        self._judge(message)
        return message[1]

    async def edits(self) -> list[tuple[str, str, etree._Element | None]]:
        """Operation, target and value of each edit of the next patch."""
        event = await self.event()
        assert name(event) == "push-change-update", etree.tostring(event).decode()
        self.patches.append(int(event.findtext(".//{*}patch-id")))
        found = []
        for number, edit in enumerate(event.iter(f"{{{YP}}}edit"), 1):
            assert edit.findtext("{*}edit-id") == str(number)
            value = edit.find("{*}value")
            assert value is None or len(value) == 1
            found.append(
                (
                    edit.findtext("{*}operation"),
                    edit.findtext("{*}target"),
                    None if value is None else value[0],
                )
            )
        return found

    async def quiet(self) -> None:
        """Nothing is on its way."""
        for _ in range(3):
            await self.client.ok("<discard-changes/>")
        assert not self.client.notifications, etree.tostring(self.client.notifications[0]).decode()

    async def commit(self, config: str) -> None:
        config = f"<config xmlns:nc='{NC}'>{config}</config>"
        await self.client.ok(f"<edit-config><target><candidate/></target>{config}</edit-config>")
        await self.client.ok("<commit/>")
