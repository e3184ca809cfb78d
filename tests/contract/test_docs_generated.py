"""What the documentation takes from the source is up to date, and every log message has a meaning."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """``docs/generate.py``, which is a program and in no package."""
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(DOCS))


def test_nothing_is_out_of_date() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_message_without_a_meaning_is_told(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    known = generate.meanings()
    missing = {name: text for name, text in known.items() if name != "journal.torn-tail"}
    monkeypatch.setattr(generate, "meanings", lambda: missing)
    with pytest.raises(generate.DocsError, match=r"journal\.torn-tail is logged"):
        generate.log_table()


def test_a_meaning_without_a_message_is_told(generate: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    known = generate.meanings() | {"journal.imagined": "Nobody logs this."}
    monkeypatch.setattr(generate, "meanings", lambda: known)
    with pytest.raises(generate.DocsError, match=r"nothing logs it"):
        generate.log_table()


def test_every_way_to_log_is_seen(generate: ModuleType) -> None:
    source = """
log.info("a.plain", x=1)
def f(self, action):
    self._log.warning("b.bound")
    self.log.exception("c.traceback")
    self._log("warning", "d.effect", x=1)
    log.error(f"e.{action}")
def g():
    f(None, "one")
    f(None, "two")
"""
    found = set(sys.modules["log_messages"].logged(ast.parse(source), Path("x.py")))
    assert found == {
        ("a.plain", "info"),
        ("b.bound", "warning"),
        ("c.traceback", "exception"),
        ("d.effect", "warning"),
        ("e.one", "error"),
        ("e.two", "error"),
    }


def test_an_id_that_cannot_be_read_is_told(generate: ModuleType) -> None:
    module = sys.modules["log_messages"]
    with pytest.raises(module.UnreadableId, match=r"x\.py:1"):
        list(module.logged(ast.parse("log.info(name)"), Path("x.py")))
