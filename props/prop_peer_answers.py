"""An answer of a peer says the same however its bytes were cut on their way, and as chunks or without."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from actorllama.bench.peers.http_client import Answer

TEXTS = st.lists(st.text(alphabet="abc{}:é ", min_size=1).map(str.strip).filter(bool), max_size=6)


def cut(data: bytes, places: list[int]) -> list[tuple[float, bytes]]:
    ends = sorted({0, *(place % (len(data) + 1) for place in places), len(data)})
    return [(float(at), data[low:high]) for at, (low, high) in enumerate(pairwise(ends))]


@given(texts=TEXTS, places=st.lists(st.integers(0, 10_000), max_size=12), sizes=st.lists(st.integers(1, 9)))
def prop_events_are_those_that_were_sent(texts: list[str], places: list[int], sizes: list[int]) -> None:
    body = "".join(f"data: {text}\n\n" for text in texts).encode()
    chunks, rest = b"", body
    for size in [*sizes, len(body)]:
        piece, rest = rest[:size], rest[size:]
        chunks += b"%x\r\n%s\r\n" % (len(piece), piece) if piece else b""
    plain = b"HTTP/1.1 200 OK\r\n\r\n" + body
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    for data in (plain, chunked):
        answer = Answer(asked_s=0.0, pieces=cut(data, places))
        times_and_texts = list(answer.events())
        assert [text for _, text in times_and_texts] == texts
        assert sorted(time_s for time_s, _ in times_and_texts) == [time_s for time_s, _ in times_and_texts]
        assert answer.status == 200
