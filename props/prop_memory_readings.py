"""Whatever stands in the kernel's files, a reading is sane or absent, and nothing is raised."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from actorllama.native.memory_cgroup import CgroupSource
from actorllama.native.memory_devices import parse_buffer_line, plain_pci
from actorllama.native.memory_host import ProcessLimitSource, StallSource

NUMBERS = st.one_of(
    st.integers(-(1 << 70), 1 << 70).map(str),
    st.sampled_from(("max", "", "nan", "1e3", "0x10", "1_0", " 7 \n\n")),
)
FIGURES = st.one_of(NUMBERS.map(str.encode), st.binary(max_size=64))
PRESSURE = st.one_of(
    st.tuples(st.sampled_from(("some", "full", "")), NUMBERS).map(
        lambda kv: f"{kv[0]} avg10={kv[1]} total=1".encode()
    ),
    st.binary(max_size=64),
)
STAT = st.one_of(
    st.lists(
        st.tuples(
            st.sampled_from(
                ("active_file", "inactive_file", "file_mapped", "total_mapped_file", "slab_reclaimable", "x")
            ),
            NUMBERS,
        )
    ).map(lambda rows: "\n".join(f"{key} {value}" for key, value in rows).encode()),
    st.binary(max_size=200),
)
MEMBERSHIPS = st.one_of(
    st.sampled_from((b"0::/a", b"0::/", b"4:memory:/a", b"0::/../..", b"0::", b"4:cpu,memory:/a\n0::/a")),
    st.binary(max_size=40),
)


@given(
    membership=MEMBERSHIPS,
    mount=st.sampled_from(("cgroup2 none rw", "cgroup none rw,memory", "cgroup none rw", "")),
    odd=st.binary(max_size=60),
    files=st.dictionaries(
        st.sampled_from(
            (
                *("memory.current", "memory.max", "memory.high", "memory.usage_in_bytes"),
                "memory.limit_in_bytes",
            )
        ),
        FIGURES,
    ),
    stat=STAT,
    pressure=PRESSURE,
)
def prop_a_cgroup_is_read_sanely_or_not_at_all(
    membership: bytes, mount: str, odd: bytes, files: dict[str, bytes], stat: bytes, pressure: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        own = root / "self"
        own.mkdir()
        (own / "cgroup").write_bytes(membership)
        line = f"31 23 0:29 / {root / 'fs'} rw - {mount}\n".encode()
        (own / "mountinfo").write_bytes(odd + b"\n" + line)
        level = root / "fs" / "a"
        level.mkdir(parents=True)
        for place in (level, level.parent):
            for name, content in {**files, "memory.stat": stat, "memory.pressure": pressure}.items():
                (place / name).write_bytes(content)
        report = CgroupSource(proc=root).read()
    assert report.readings or report.why_not
    for reading in report.readings:
        assert reading.used_bytes is not None
        assert reading.limit_bytes is not None
        assert reading.used_bytes >= 0
        assert reading.limit_bytes >= 1
        assert reading.stall_share is None or 0 <= reading.stall_share <= 1


@given(content=st.one_of(PRESSURE, STAT, FIGURES))
def prop_other_files_are_read_sanely_or_not_at_all(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(content)
        for report in (StallSource(path=path).read(), ProcessLimitSource(statm=path).read()):
            assert report.readings or report.why_not


@given(text=st.one_of(st.text(max_size=40), st.from_regex(r"[0-9a-fA-F]{1,9}:[0-9a-fA-F]{1,3}:..\.[0-9a-f]")))
def prop_an_address_has_one_spelling(text: str) -> None:
    assert plain_pci(plain_pci(text)) == plain_pci(text)
    assert plain_pci(text.upper()) == plain_pci(text) or not text.isascii()


@given(text=st.text(max_size=120))
def prop_a_line_of_a_log_is_a_buffer_or_nothing(text: str) -> None:
    size = parse_buffer_line(text)
    assert size is None or size.n_bytes >= 0
