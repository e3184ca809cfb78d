"""gNMI paths: protobuf ↔ steps ↔ text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telemetry.protocol import gnmi_pb2 as pb
from telemetry.protocol.paths import MAXIMUM_STEPS, PathError, Step, build, from_text, steps_of, to_text

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
steps = st.builds(
    Step, texts, st.dictionaries(texts, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
)
paths = st.lists(steps, max_size=8).map(tuple)


@given(paths)
def test_protobuf_round_trip(path):
    assert steps_of(pb.Path.FromString(build(path).SerializeToString())) == path


@given(paths)
def test_text_round_trip(path):
    assert from_text(to_text(path)) == path


@given(st.text(max_size=60))
def test_any_text_is_a_path_or_refused(text):
    try:
        path = from_text(text)
    except PathError:
        return
    assert from_text(to_text(path)) == path


def test_text_form():
    path = from_text("/aether-subscriber:sessions/session[id=00ff]/counters/*")
    assert path == (
        Step("aether-subscriber:sessions"),
        Step("session", {"id": "00ff"}),
        Step("counters"),
        Step("*"),
    )
    assert path[0].module == "aether-subscriber"
    assert path[0].local_name == "sessions"
    assert path[1].module is None


def test_escapes():
    path = (Step("a/b[c"), Step("list", {"k": "x]y\\z=/"}))
    assert to_text(path) == r"/a\/b\[c/list[k=x\]y\\z=/]"


@pytest.mark.parametrize(
    "text",
    ["//a", "/a[b", "/a[b]", "/a[=c]", "/a[b=c", "/a[b=c]d", "/a//b", "/" + "a/" * (MAXIMUM_STEPS + 1)],
)
def test_malformed_text(text):
    with pytest.raises(PathError):
        from_text(text)


def test_prefix_and_path_join():
    prefix, path = build([Step("a")], target="bng-01"), build([Step("b", {"k": "1"})])
    assert steps_of(prefix, None, path) == (Step("a"), Step("b", {"k": "1"}))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (pb.Path(element=["a"]), "withdrawn"),
        (pb.Path(elem=[pb.PathElem()]), "without a name"),
        (pb.Path(elem=[pb.PathElem(name="a")] * (MAXIMUM_STEPS + 1)), "at most"),
        (pb.Path(elem=[pb.PathElem(name="a" * 5000)]), "more than"),
        (pb.Path(elem=[pb.PathElem(name="a", key={"k": "v" * 5000})]), "more than"),
    ],
)
def test_malformed_protobuf(path, reason):
    with pytest.raises(PathError, match=reason):
        steps_of(path)
