"""Customers."""

from __future__ import annotations

from fastapi import APIRouter, Request

from oss.api.common import ERRORS, Cursor, Limit, Pool, Text, actor
from oss.auth.principal import Operator, Viewer
from oss.domain import customers
from oss.domain.customers import Customer, CustomerSort, NewCustomer, Presence
from oss.domain.paging import Order, Page

router = APIRouter(prefix="/api/customers", tags=["customers"], responses=ERRORS)


@router.get("")
async def list_customers(
    pool: Pool,
    _: Viewer,
    q: Text = None,
    presence: Presence | None = None,
    sort: CustomerSort = "name",
    order: Order = "asc",
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[Customer]:
    """Customers. `presence`: online, offline, recent (online within a day), new (within a week)."""
    return await customers.listing(pool, q, presence, sort, order, limit, cursor)


@router.get("/{customer_id}")
async def get_customer(customer_id: int, pool: Pool, _: Viewer) -> Customer:
    """One customer. Sessions, history, events and services take `customer_id` as a filter."""
    return await customers.one(pool, customer_id)


@router.post("", status_code=201)
async def create_customer(
    request: Request, customer: NewCustomer, pool: Pool, principal: Operator
) -> Customer:
    return await customers.one(pool, await customers.create(pool, customer, actor(request, principal)))


@router.put("/{customer_id}")
async def replace_customer(
    request: Request, customer_id: int, customer: NewCustomer, pool: Pool, principal: Operator
) -> Customer:
    await customers.replace(pool, customer_id, customer, actor(request, principal))
    return await customers.one(pool, customer_id)


@router.delete("/{customer_id}", status_code=204)
async def delete_customer(request: Request, customer_id: int, pool: Pool, principal: Operator) -> None:
    """Remove a customer who never had a service."""
    await customers.delete(pool, customer_id, actor(request, principal))
