"""The API's description, from which the console's client is generated."""

import json
from pathlib import Path
from typing import Any

from oss.app import create_app

COMMITTED = Path(__file__).parents[3] / "oss" / "console" / "openapi.json"
OPEN = {("/api/auth/login", "post"), ("/healthz", "get")}


def shape(document: dict[str, Any]) -> dict[str, Any]:
    """What a client depends on; wording and the framework's own details may differ."""
    operations = {
        f"{method} {path}": operation["operationId"]
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    schemas = {
        name: sorted(schema.get("properties", {}))
        for name, schema in document["components"]["schemas"].items()
    }
    return {"operations": operations, "schemas": schemas}


def test_the_console_is_generated_from_this_api() -> None:
    assert shape(json.loads(COMMITTED.read_text())) == shape(create_app().openapi()), (
        "run `npm run client` in oss/console"
    )


def test_every_operation_but_two_can_answer_that_nobody_is_logged_in() -> None:
    for path, methods in create_app().openapi()["paths"].items():
        for method, operation in methods.items():
            if (path, method) not in OPEN:
                assert "401" in operation["responses"], f"{method} {path}"
