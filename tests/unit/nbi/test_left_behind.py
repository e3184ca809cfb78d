"""Sessions that end at an unlucky moment leave nothing on the bus."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from nbi.subscriptions import SessionSubscriptions
from nbi.subscriptions.terms import EventTerms, OnChangeTerms, PushTerms
from yang.access import User


@pytest.fixture
async def subscriptions(serve):
    """Those of a session that there is nothing else of, and the bus."""
    served = await serve(2)
    registry = served.server.subscriptions
    output = SimpleNamespace()
    made = SessionSubscriptions(registry, User("admin"), 99, "", output, lambda reason: None)
    await asyncio.sleep(0)
    return made, registry.tree.bus


def on_change(tree) -> PushTerms:
    return PushTerms("running", tree.select_all(), OnChangeTerms(sync=False))


async def test_before_a_subscription_begins(subscriptions):
    """Its task is cancelled before it has run at all."""
    made, bus = subscriptions
    made.create(EventTerms())
    made.begin()
    assert len(bus._subscriptions) == 1
    await made.close()
    assert not bus._subscriptions


async def test_before_other_terms_come_into_force(subscriptions):
    """The reply to modify-subscription could not be sent."""
    made, bus = subscriptions
    before = len(bus._watches)
    subscription = await made.establish(on_change(made.registry.tree))
    made.begin()
    await made.modify(subscription, on_change(made.registry.tree))
    assert len(bus._watches) == before + 2
    await made.close()
    assert len(bus._watches) == before
    assert not made.registry.subscriptions


async def test_other_terms_for_what_was_killed_meanwhile(subscriptions):
    made, bus = subscriptions
    before = len(bus._watches)
    subscription = await made.establish(on_change(made.registry.tree))
    terms = on_change(made.registry.tree)
    subscription.abandon()
    await made.modify(subscription, terms)
    assert len(bus._watches) == before
    await made.close()
