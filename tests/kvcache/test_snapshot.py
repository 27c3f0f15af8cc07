import struct
from hashlib import blake2b

import attrs
import pytest

from actorllama.errors import SnapshotCorrupt, SnapshotMismatch
from actorllama.kvcache import FORMAT_VERSION, HEADER_BYTES, SECTIONS, Snapshot, content_key, decode
from actorllama.kvcache.header import Header
from tests.kvcache.samples import NAMESPACE, encoded, snapshot_of

MAC_KEY = b"0123456789abcdef"


def region_of(offset: int, data: bytes) -> str:
    """Name the part of a file that a byte belongs to, as `SnapshotCorrupt.section` does."""
    if offset < 32:
        return "magic" if offset < 8 else "prologue"
    end = HEADER_BYTES
    for tag, length in zip(SECTIONS, Header.parse(data).lengths, strict=True):
        if HEADER_BYTES <= offset < end + length:
            return tag
        end += length
    return "header"


def test_a_snapshot_comes_back_as_it_was() -> None:
    snapshot = snapshot_of(7, label="Anna's ünïcode \ud800 label")
    assert decode(encoded(snapshot)) == snapshot


def test_a_snapshot_without_logits_and_cells_comes_back_as_it_was() -> None:
    snapshot = attrs.evolve(snapshot_of(logits=None), tokens=(5,), n_prompt=1, kv=b"", sampler=b"")
    assert decode(encoded(snapshot)) == snapshot
    assert snapshot.n_cells == 0


def test_the_large_buffers_are_neither_copied_out_nor_in() -> None:
    kv = memoryview(bytearray(1000)).toreadonly()
    snapshot = attrs.evolve(snapshot_of(), kv=kv)
    pieces = snapshot.encode()
    assert any(isinstance(piece, memoryview) and piece.obj is kv.obj for piece in pieces)

    data = bytearray(b"".join(pieces))
    read = decode(data)
    assert isinstance(read, Snapshot)
    assert isinstance(read.kv, memoryview)
    assert read.kv.obj is data
    assert read.kv.readonly


def test_the_size_that_is_counted_is_the_size_that_is_written() -> None:
    snapshot = snapshot_of(3, n_kv=1234, label="words")
    assert snapshot.n_bytes == len(encoded(snapshot))


def test_the_key_is_of_namespace_tokens_and_sampler_and_of_nothing_else() -> None:
    snapshot = snapshot_of()
    same = attrs.evolve(snapshot, kv=b"other", label="other", created_s=0.0, n_prompt=0, logits=None)
    others = [
        attrs.evolve(snapshot, namespace="c0ffe"),
        attrs.evolve(snapshot, tokens=(1, 2)),
        attrs.evolve(snapshot, tokens=(2, 1, 1)),
        attrs.evolve(snapshot, sampler=b"sampler recore"),
    ]
    assert same.key == snapshot.key
    assert snapshot.key not in {other.key for other in others}
    assert len(snapshot.key) == 32


def test_the_format_of_version_2_never_changes() -> None:
    """Whoever changes these figures changes the format: raise FORMAT_VERSION with them."""
    assert FORMAT_VERSION == 2
    assert content_key(namespace="ab", tokens=(1, 2), sampler=b"s") == "e011414c70b539b513e9da72dd136dee"
    assert blake2b(encoded(snapshot_of()), digest_size=8).hexdigest() == "1322a38223131eac"


def test_one_flipped_bit_is_found_wherever_it_is_and_its_section_named() -> None:
    data = encoded(snapshot_of())
    for offset in range(len(data)):
        bits = range(8) if offset < HEADER_BYTES else [offset % 8]
        for bit in bits:
            damaged = bytearray(data)
            damaged[offset] ^= 1 << bit
            with pytest.raises(SnapshotCorrupt) as caught:
                decode(damaged)
            assert caught.value.section == region_of(offset, data), (offset, bit)


def test_a_file_cut_off_at_any_byte_is_refused() -> None:
    data = encoded(snapshot_of())
    for n_left in range(len(data)):
        with pytest.raises(SnapshotCorrupt):
            decode(data[:n_left])


def test_garbage_behind_a_snapshot_is_refused() -> None:
    with pytest.raises(SnapshotCorrupt) as caught:
        decode(encoded(snapshot_of()) + b"\0")
    assert caught.value.section == "length"


def test_a_later_version_is_told_apart_from_a_damaged_one() -> None:
    data = bytearray(encoded(snapshot_of()))
    data[8:12] = struct.pack("<I", FORMAT_VERSION + 1)
    with pytest.raises(SnapshotCorrupt):
        decode(data)

    data[24:32] = blake2b(data[:24], digest_size=8, person=b"ALkv prologue").digest()
    with pytest.raises(SnapshotMismatch, match="format 3"):
        decode(data)


def test_a_header_of_another_length_is_not_version_2() -> None:
    data = bytearray(encoded(snapshot_of()))
    data[12:16] = struct.pack("<I", HEADER_BYTES + 8)
    data[24:32] = blake2b(data[:24], digest_size=8, person=b"ALkv prologue").digest()
    with pytest.raises(SnapshotCorrupt) as caught:
        decode(data)
    assert caught.value.section == "prologue"


def test_a_signed_snapshot_needs_its_key() -> None:
    snapshot = snapshot_of()
    data = encoded(snapshot, MAC_KEY)
    assert decode(data, mac_key=MAC_KEY) == snapshot
    for key in (None, b"x" * 16):
        with pytest.raises(SnapshotMismatch, match="MAC key"):
            decode(data, mac_key=key)
    with pytest.raises(SnapshotMismatch, match="MAC key"):
        decode(encoded(snapshot), mac_key=MAC_KEY)


def test_a_forger_without_the_key_cannot_sign() -> None:
    """All digests of a keyless file are right but the one that needs the key."""
    forged = bytearray(encoded(snapshot_of()))
    forged[:32] = encoded(snapshot_of(), MAC_KEY)[:32]
    forged[352:384] = blake2b(forged[:352], digest_size=32, person=b"ALkv header").digest()
    with pytest.raises(SnapshotCorrupt) as caught:
        decode(forged, mac_key=MAC_KEY)
    assert caught.value.section == "header"


@pytest.mark.parametrize("mac_key", [b"short", b"x" * 65])
def test_a_mac_key_of_another_length_is_refused(mac_key: bytes) -> None:
    with pytest.raises(ValueError, match="16 to 64"):
        snapshot_of().encode(mac_key=mac_key)


def sealed(sections: dict[str, bytes], key: str) -> bytes:
    """Write a file whose digests all hold, whatever is in it."""
    return b"".join([Header.describe(key, dict(sections)).to_bytes(), *sections.values()])


META = (
    b'{"block_tokens":null,"codec":"none","created_s":1.0,"has_blocks":true,"has_boundary":false,'
    b'"kind":"snapshot","label":"","n_prompt":1,"namespace":"ab","raw_bytes":0,"worth_s":0.0}'
)


@pytest.mark.parametrize(
    ("tag", "content"),
    [
        ("TOKN", b""),
        ("TOKN", b"\1\0\0"),
        ("TOKN", b"\xff\xff\xff\xff"),
        ("META", b""),
        ("META", b"[]"),
        ("META", b"[" * 5000),
        ("META", b'{"n_prompt":' + b"9" * 5000 + b"}"),
        ("META", META.replace(b":1,", b":2,")),
        ("META", META.replace(b":1,", b":true,")),
        ("META", META.replace(b"1.0", b"NaN")),
        ("META", META.replace(b"1.0", b"1")),
        ("META", META.replace(b"snapshot", b"block")),
        ("META", META.replace(b"snapshot", b"state")),
        ("META", META.replace(b":null", b":0")),
        ("META", META.replace(b"0.0", b"-1.0")),
        ("META", META.replace(b'es":0,', b'es":1,')),
        ("META", META.replace(b"none", b"lz4")),
        ("META", META.replace(b'"none"', b"[]")),
        ("META", META.replace(b'"kind":"snapshot",', b"")),
        ("META", META.replace(b'"ab"', b'"AB"')),
        ("META", META.replace(b"{", b"{ ")),
        ("META", META.replace(b"}", b',"x":0}')),
        ("META", b"\xff"),
    ],
)
def test_content_that_no_snapshot_has_is_refused_though_its_digests_hold(tag: str, content: bytes) -> None:
    sections = {"TOKN": b"\1\0\0\0", "LGTS": b"", "KVST": b"", "SMPL": b"", "META": META}
    key = content_key(namespace="ab", tokens=(1,), sampler=b"")
    assert decode(sealed(sections, key)).key == key

    with pytest.raises(SnapshotCorrupt) as caught:
        decode(sealed({**sections, tag: content}, key))
    assert caught.value.section == "content"


def test_a_file_under_another_key_than_its_own_is_refused() -> None:
    sections = {"TOKN": b"\1\0\0\0", "LGTS": b"", "KVST": b"", "SMPL": b"", "META": META}
    with pytest.raises(SnapshotCorrupt):
        decode(sealed(sections, "0" * 32))


def test_a_length_beyond_its_bound_is_refused_before_anything_is_made_of_it() -> None:
    data = bytearray(encoded(snapshot_of()))
    kvst = 56 + 2 * 52
    data[kvst + 12 : kvst + 20] = struct.pack("<Q", 1 << 60)
    data[352:384] = blake2b(data[:352], digest_size=32, person=b"ALkv header").digest()
    with pytest.raises(SnapshotCorrupt) as caught:
        decode(data)
    assert caught.value.section == "header"


def test_a_section_that_is_too_long_is_not_written() -> None:
    sections = {"TOKN": b"", "LGTS": b"", "KVST": b"", "SMPL": b"", "META": bytes((1 << 16) + 1)}
    with pytest.raises(ValueError, match="META"):
        sealed(sections, "0" * 32)


@pytest.mark.parametrize(
    "change",
    [
        {"namespace": "no hex"},
        {"namespace": ""},
        {"tokens": ()},
        {"tokens": (-1, 2)},
        {"tokens": (1, 1 << 31)},
        {"n_prompt": 4},
        {"n_prompt": -1},
        {"n_prompt": True},
        {"logits": b""},
        {"created_s": float("inf")},
        {"label": "x" * 1001},
    ],
)
def test_a_field_out_of_bounds_is_refused(change: dict[str, object]) -> None:
    fields: dict[str, object] = {
        "namespace": NAMESPACE,
        "tokens": (1, 2, 3),
        "n_prompt": 2,
        "sampler": b"",
        "kv": b"",
        "created_s": 1.0,
        **change,
    }
    with pytest.raises(ValueError, match=next(iter(change))):
        Snapshot(**fields)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] (on purpose)


def test_another_namespace_is_a_mismatch_that_names_both() -> None:
    snapshot_of().check_namespace(NAMESPACE)
    with pytest.raises(SnapshotMismatch) as caught:
        snapshot_of().check_namespace("beef")
    assert (caught.value.expected, caught.value.actual) == ("beef", NAMESPACE)


def test_the_words_of_a_user_are_not_in_the_repr() -> None:
    text = repr(snapshot_of(label="secret"))
    assert "secret" not in text
    assert "<64 bytes>" in text


def test_a_header_that_is_believed_is_the_one_that_would_be_written() -> None:
    """A forger computes the digest anew, whatever bit he turns; nothing is left open for him to say."""
    data = encoded(snapshot_of())[:HEADER_BYTES]
    n_believed, blamed = 0, set[str]()
    for bit in range(8 * 32, 8 * 352):
        forged = bytearray(data)
        forged[bit // 8] ^= 1 << bit % 8
        forged[352:] = blake2b(forged[:352], digest_size=32, person=b"ALkv header").digest()
        try:
            header = Header.parse(bytes(forged))
        except SnapshotCorrupt as exc:
            blamed.add(exc.section)
        else:
            assert header.to_bytes() == forged, bit
            n_believed += 1
    assert blamed == {"header"}
    assert n_believed == 8 * (16 + 5 * 32), "the key, and the digests, which are held against the content"
