"""What the server answers around the API: the console's files, headers, bounds."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from oss.web import MAX_BODY, Envelope, serve_console


@pytest.fixture
def client(tmp_path: Path) -> httpx.AsyncClient:
    app = FastAPI()

    @app.post("/api/length")
    async def length(body: dict) -> int:
        return len(body)

    @app.get("/api/broken")
    async def broken() -> None:
        raise RuntimeError("a secret detail")

    serve_console(app, tmp_path / "dist")
    app.add_middleware(Envelope)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://oss")


@pytest.fixture
def built(tmp_path: Path) -> None:
    (tmp_path / "dist" / "assets").mkdir(parents=True)
    (tmp_path / "dist" / "index.html").write_text("<p>the console</p>")
    (tmp_path / "dist" / "assets" / "app-abc123.js").write_text("1")
    (tmp_path / "secret").write_text("not for the web")


async def test_without_a_build_the_page_says_how_to_make_one(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.status_code == 503
    assert "npm run build" in answer.text


@pytest.mark.usefixtures("built")
async def test_pages_are_the_console_and_assets_are_kept(client: httpx.AsyncClient) -> None:
    for path in ("/", "/sessions", "/customers?q=x"):
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")
        assert "the console" in answer.text
    asset = await client.get("/assets/app-abc123.js")
    assert "immutable" in asset.headers["cache-control"]
    assert (await client.get("/assets/old.js")).status_code == 404, "no page instead of a script"


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize("path", ["/../secret", "/%2e%2e/secret", "/assets/..%2f..%2fsecret", "//etc/passwd"])
async def test_nothing_outside_of_the_build_is_served(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert "not for the web" not in answer.text
    assert "root:" not in answer.text


async def test_every_answer_has_the_headers(client: httpx.AsyncClient) -> None:
    for path in ("/", "/api/none", "/api/broken"):
        headers = (await client.get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "'unsafe-inline'" not in headers["content-security-policy"].split("style-src")[0]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"]
    assert (await client.get("/api/none")).headers["cache-control"] == "no-store"


async def test_an_unexpected_error_tells_nothing_but_an_id(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/broken")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_bodies_are_bounded(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/length", content=b" " * (MAX_BODY + 1))).status_code == 413

    async def endless():
        for _ in range(64):
            yield b" " * 65536

    answer = await client.post("/api/length", content=endless())
    assert answer.status_code != 200
