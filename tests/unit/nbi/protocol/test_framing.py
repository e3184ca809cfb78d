"""Framing: every way to split a stream gives the same messages; what is malformed ends the session."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nbi.protocol.framing import MAX_CHUNK, Deframer, Framer, FramingError, MessageTooBig

LIMIT = 1_000_000

texts = st.text(min_size=1, max_size=60).map(str.encode)
delimited = st.lists(texts.filter(lambda t: b"]]>]]>" not in t + b"]]>]]"), min_size=1, max_size=4)


def feed_in_pieces(deframer: Deframer, stream: bytes, cuts: list[int]) -> list[bytes]:
    messages = []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        deframer.feed(stream[start:end])
        while (message := deframer.next_message()) is not None:
            messages.append(message)
    return messages


def chunked(message: bytes, cuts: list[int]) -> bytes:
    edges = sorted({0, len(message), *(cut % len(message) for cut in cuts)})
    parts = [message[a:b] for a, b in pairwise(edges)]
    return b"".join(b"\n#%d\n%b" % (len(part), part) for part in parts) + b"\n##\n"


@given(delimited, st.lists(st.integers(0, 10_000), max_size=8))
def test_delimited_messages_survive_any_split(messages, cuts):
    stream = b"".join(message + b"]]>]]>" for message in messages)
    assert feed_in_pieces(Deframer(LIMIT), stream, cuts) == messages


@given(
    st.lists(texts, min_size=1, max_size=4),
    st.lists(st.integers(0, 10_000), max_size=6),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_chunked_messages_survive_any_chunking_and_any_split(messages, chunk_cuts, cuts):
    deframer = Deframer(LIMIT)
    deframer.use_chunks()
    stream = b"".join(chunked(message, chunk_cuts) for message in messages)
    assert feed_in_pieces(deframer, stream, cuts) == messages


@pytest.mark.parametrize("chunks", [False, True])
def test_split_at_every_byte(chunks):
    deframer, framer = Deframer(LIMIT), Framer()
    if chunks:
        deframer.use_chunks()
        framer.use_chunks()
    messages = ["<rpc>é€😀</rpc>".encode(), b"]]>]]", b"x" * 70_000]
    if not chunks:
        messages.remove(b"]]>]]")
    stream = b"".join(framer.message(message) for message in messages)
    received = []
    for at in range(len(stream)):
        deframer.feed(stream[at : at + 1])
        while (message := deframer.next_message()) is not None:
            received.append(message)
    assert received == messages
    assert deframer.buffered == 0


def test_chunks_may_split_a_character():
    deframer = Deframer(LIMIT)
    deframer.use_chunks()
    deframer.feed(b"\n#1\n\xc3\n#1\n\xa9\n##\n")
    assert deframer.next_message() == "é".encode()


@pytest.mark.parametrize(
    "stream",
    [
        b"#5\nhello\n##\n",
        b"\n#0\n\n##\n",
        b"\n#05\nhello\n##\n",
        b"\n#+5\nhello\n##\n",
        b"\n# 5\nhello\n##\n",
        b"\n#5\r\nhello\n##\n",
        b"\n#99999999999\n",
        b"\n#4294967296\n",
        b"\n#-1\n",
        b"\n##\n",
        b"\n#5\nhello##\n",
        b"\n#5\nhello\n###\n",
        b"\n#5\nhello]]>]]>",
    ],
)
def test_bad_chunk_headers_end_the_session(stream):
    deframer = Deframer(1 << 33)
    deframer.use_chunks()
    deframer.feed(stream)
    with pytest.raises(FramingError):
        deframer.next_message()


@pytest.mark.parametrize("at", range(12))
def test_bad_header_is_seen_without_its_end(at):
    deframer = Deframer(1 << 33)
    deframer.use_chunks()
    deframer.feed(b"\n#4294967295"[:at] + b"x")
    with pytest.raises(FramingError):
        deframer.next_message()


def test_chunk_size_beyond_the_limit_is_refused_before_it_arrives():
    deframer = Deframer(100)
    deframer.use_chunks()
    deframer.feed(b"\n#60\n" + b"x" * 60 + b"\n#41\n")
    with pytest.raises(MessageTooBig):
        deframer.next_message()


@pytest.mark.parametrize("size", [100, 101])
def test_delimited_limit_is_exact(size):
    deframer = Deframer(100)
    deframer.feed(b"x" * size + b"]]>]]>")
    if size == 100:
        assert deframer.next_message() == b"x" * 100
    else:
        with pytest.raises(MessageTooBig):
            deframer.next_message()


def test_delimited_message_without_end_is_refused():
    deframer = Deframer(100)
    for _ in range(106):
        deframer.feed(b"x")
        assert deframer.next_message() is None
    deframer.feed(b"x")
    with pytest.raises(MessageTooBig):
        deframer.next_message()


def test_framing_changes_between_two_messages_of_one_packet():
    deframer = Deframer(LIMIT)
    deframer.feed(b"<hello/>]]>]]>\n#6\n<rpc/>\n##\n")
    assert deframer.next_message() == b"<hello/>"
    deframer.use_chunks()
    assert deframer.next_message() == b"<rpc/>"
    assert deframer.next_message() is None


def test_large_parts_are_written_in_small_chunks():
    framer = Framer()
    framer.use_chunks()
    data = bytes(range(256)) * 1000
    deframer = Deframer(LIMIT)
    deframer.use_chunks()
    framed = framer.message(data)
    assert framed.count(b"\n#%d\n" % MAX_CHUNK) == len(data) // MAX_CHUNK
    deframer.feed(framed)
    assert deframer.next_message() == data


def test_an_empty_part_is_no_chunk():
    framer = Framer()
    framer.use_chunks()
    assert framer.part(b"") == b""
