"""The operations of NETCONF, one file per RPC.

A handler gets the operation's element and a `Context`, and returns the content of the reply in pieces, or
None for ``<ok/>``. It raises `RpcError` for what is wrong with the request and lets `OperationError`
through. `HANDLERS` is what a session dispatches by; operations of the model go to `model`.
"""

from __future__ import annotations

from nbi.operations import (
    cancel_commit,
    close_session,
    commit,
    copy_config,
    create_subscription,
    delete_config,
    delete_subscription,
    discard_changes,
    edit_config,
    edit_data,
    establish_subscription,
    get,
    get_config,
    get_data,
    get_schema,
    kill_session,
    kill_subscription,
    lock,
    modify_subscription,
    partial_lock,
    partial_unlock,
    resync_subscription,
    unlock,
    update,
    validate,
)
from nbi.operations.context import Context, Handler, Operation, Reply
from nbi.protocol.names import (
    BASE_NS,
    MONITORING_NS,
    NMDA_NS,
    NOTIFICATION_NS,
    PARTIAL_LOCK_NS,
    PRIVATE_CANDIDATE_NS,
    PUSH_NS,
    SUBSCRIBED_NS,
    qualified,
)

__all__ = ["HANDLERS", "Context", "Handler", "Operation", "Reply"]


def _base(name: str, handler: Handler, *, interruptible: bool = False) -> tuple[str, Operation]:
    return qualified(BASE_NS, name), Operation(f"/ietf-netconf:{name}", handler, interruptible)


def _subscribed(name: str, handler: Handler, *, interruptible: bool = False) -> tuple[str, Operation]:
    path = f"/ietf-subscribed-notifications:{name}"
    return qualified(SUBSCRIBED_NS, name), Operation(path, handler, interruptible)


HANDLERS: dict[str, Operation] = dict(
    [
        _base("get", get.handle, interruptible=True),
        _base("get-config", get_config.handle, interruptible=True),
        _base("edit-config", edit_config.handle),
        _base("copy-config", copy_config.handle),
        _base("delete-config", delete_config.handle),
        _base("lock", lock.handle),
        _base("unlock", unlock.handle),
        _base("validate", validate.handle),
        _base("commit", commit.handle),
        _base("cancel-commit", cancel_commit.handle),
        _base("discard-changes", discard_changes.handle),
        _base("close-session", close_session.handle),
        _base("kill-session", kill_session.handle, interruptible=True),
        (
            qualified(MONITORING_NS, "get-schema"),
            Operation("/ietf-netconf-monitoring:get-schema", get_schema.handle, True),
        ),
        (qualified(NMDA_NS, "get-data"), Operation("/ietf-netconf-nmda:get-data", get_data.handle, True)),
        (qualified(NMDA_NS, "edit-data"), Operation("/ietf-netconf-nmda:edit-data", edit_data.handle)),
        (
            qualified(PARTIAL_LOCK_NS, "partial-lock"),
            Operation("/ietf-netconf-partial-lock:partial-lock", partial_lock.handle),
        ),
        (
            qualified(PARTIAL_LOCK_NS, "partial-unlock"),
            Operation("/ietf-netconf-partial-lock:partial-unlock", partial_unlock.handle),
        ),
        (
            qualified(NOTIFICATION_NS, "create-subscription"),
            Operation("/notifications:create-subscription", create_subscription.handle),
        ),
        (
            qualified(PRIVATE_CANDIDATE_NS, "update"),
            Operation("/ietf-netconf-private-candidate:update", update.handle),
        ),
        _subscribed("establish-subscription", establish_subscription.handle),
        _subscribed("modify-subscription", modify_subscription.handle),
        _subscribed("delete-subscription", delete_subscription.handle, interruptible=True),
        _subscribed("kill-subscription", kill_subscription.handle),
        (
            qualified(PUSH_NS, "resync-subscription"),
            Operation("/ietf-yang-push:resync-subscription", resync_subscription.handle),
        ),
    ]
)
"""Element of the operation → what carries it out."""
