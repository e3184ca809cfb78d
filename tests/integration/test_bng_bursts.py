"""Many packets at once: subscribers after a power cut, and ports that flood."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.bng_manager import gnmi_get
from tests.support.bng_world import World, world
from tests.support.dhcp_client import ACK, DISCOVER, Subscriber
from tests.support.marks import WHOLE_BNG
from tests.support.servers import wait_for
from tests.support.setup_bench import accounting_starts, active_since

pytestmark = WHOLE_BNG

BURST = 1000
CLIENTS_PATIENCE = 4.0
"""Seconds until a DHCP client repeats itself (RFC 2131, 4.1)."""


@pytest.fixture(scope="module")
def bng(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("bng")) as made:
        made.start()
        yield made


def dropped(bng: World) -> int:
    (health,) = gnmi_get(bng, "health")
    return int(health["dhcp-dropped"])


def test_a_thousand_subscribers_at_once(bng: World) -> None:
    wanted = [Subscriber(number) for number in range(BURST)]
    bound = bng.subscribers.exchange(wanted, window=BURST, retry=CLIENTS_PATIENCE, within=60)
    assert bound == wanted
    assert len({subscriber.address for subscriber in bound}) == BURST
    active_since(bng, [subscriber.circuit_id for subscriber in wanted])
    accounting_starts(bng, BURST)
    assert dropped(bng) == 0


def test_who_is_in_renews_while_invented_lines_flood(bng: World) -> None:
    (subscriber,) = bng.attach(BURST + 1)
    before = dropped(bng)
    frames = [Subscriber(5000 + number, f"rogue-{number}").frame(DISCOVER) for number in range(8000)]
    for frame in frames:
        bng.subscribers.send(frame)
    assert bng.subscribers.renew(subscriber) == ACK
    wait_for("the drops are counted", lambda: dropped(bng) > before + 1000, 10)
    # and the next one comes in when the flood is over
    bng.attach(BURST + 2)
