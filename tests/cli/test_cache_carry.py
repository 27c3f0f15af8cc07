"""``actorllama cache export`` and ``import``: turns on their way, and archives that mean harm."""

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import pytest

from actorllama.kvcache import StoredEntry
from actorllama.testing.random_models import cached_random_model
from tests.cli.saved_turns import (
    NAMESPACE,
    Cli,
    Saved,
    file_of,
    items,
    made_up_turn,
    put,
    resumed,
    save_turns,
)
from tests.cli.shell import TIMEOUT_S, Invoke, Spawn, command_line

TURN = made_up_turn(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
OTHER = made_up_turn(1, 2, 3, 4, 9, 9, 9, 9, 9)


@pytest.fixture
def cli(invoke: Invoke, tmp_path: Path) -> Cli:
    put(tmp_path / "state", TURN, OTHER)
    return Cli(invoke=invoke, state=tmp_path / "state")


@pytest.fixture
def there(invoke: Invoke, tmp_path: Path) -> Cli:
    """Give the other machine, where nothing is yet."""
    return Cli(invoke=invoke, state=tmp_path / "there")


def encoded(entry: StoredEntry) -> bytes:
    return b"".join(entry.encode())


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def member(name: str, data: bytes, kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = "/etc/passwd"
    return info, data


def test_a_turn_is_carried_with_all_its_rows(cli: Cli, there: Cli, tmp_path: Path) -> None:
    path = tmp_path / "turn.tar"
    out = cli.json("export", TURN[-1].key[:10], "-o", str(path))
    assert (out["keys"], out["n_rows"], out["namespaces"]) == ([TURN[-1].key], 3, [NAMESPACE])
    assert out["n_bytes"] == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600

    taken = there.json("import", str(path))
    assert (taken["n_published"], taken["n_adopted"], taken["problems"]) == (4, 0, [])
    assert [turn["n_missing_rows"] for turn in items(taken, "turns")] == [0]
    assert set(there.listed()) == {entry.key for entry in TURN}
    for entry in TURN:
        assert file_of(there.state, entry).read_bytes() == file_of(cli.state, entry).read_bytes()
    assert there.json("import", str(path))["n_adopted"] == 4


def test_rows_that_turns_share_are_written_once(cli: Cli, there: Cli, tmp_path: Path) -> None:
    path = tmp_path / "all.tar"
    out = cli("export", "--all", "-o", str(path))
    assert out.out.startswith("2 turns with 4 rows, ")
    assert out.err == f"for namespace {NAMESPACE}\n"
    with tarfile.open(path) as tar:
        assert len(tar.getnames()) == len(set(tar.getnames())) == 6
    assert there("import", str(path)).out == "2 turns, 6 entries in all\n"


@pytest.mark.slow
def test_an_archive_goes_through_a_pipe(cli: Cli, there: Cli) -> None:
    sent = subprocess.run(
        command_line("cache", "export", "--state-dir", str(cli.state), "--all", "-o", "-"),
        capture_output=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert sent.stderr.startswith(b"2 turns with 4 rows, ")
    done = there("import", "-", stdin=sent.stdout)
    assert done.code == 0, done.err
    assert len(there.listed()) == 6


def test_rows_that_are_gone_are_told_on_both_sides(cli: Cli, there: Cli, tmp_path: Path) -> None:
    file_of(cli.state, TURN[1]).unlink()
    path = tmp_path / "turn.tar"
    assert "1 entry of their rows gone" in cli("export", TURN[-1].key, "-o", str(path)).err
    done = there("import", str(path))
    assert done.code == 0
    assert f"turn {TURN[-1].key}: 1 row to be computed again; for namespace {NAMESPACE}\n" == done.err


def test_what_is_damaged_is_left_out_and_left_alone(cli: Cli, there: Cli, tmp_path: Path) -> None:
    path = file_of(cli.state, TURN[1])
    content = bytearray(path.read_bytes())
    content[-150] ^= 8
    path.write_bytes(content)
    file_of(cli.state, OTHER[-1]).write_bytes(b"no snapshot")
    done = cli("export", TURN[-1].key, OTHER[-1].key, "-o", str(tmp_path / "x.tar"))
    assert done.code == 1
    assert f"left out: {TURN[1].key}: it is damaged in its " in done.err
    assert f"left out: {OTHER[-1].key}: it is damaged in its " in done.err
    assert path.read_bytes() == content
    assert there("import", str(tmp_path / "x.tar")).code == 0
    assert set(there.listed()) == {TURN[0].key, TURN[2].key, TURN[3].key}


def test_an_existing_file_is_replaced_only_by_force_and_whole(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(b"precious")
    assert "it exists: choose another name, or add --force" in cli.refused("export", "--all", "-o", str(path))
    assert path.read_bytes() == b"precious"
    assert cli("export", "--all", "--force", "-o", str(path)).code == 0
    assert tarfile.is_tarfile(path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["state", "x.tar"]


def test_an_export_that_fails_leaves_nothing_behind(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = cli("export", "--all", "-o", str(tmp_path / "x.tar"))
    assert (done.code, done.err) == (1, "actorllama: No space left on device\n")
    assert [one.name for one in tmp_path.iterdir()] == ["state"]


def test_bad_places_and_keys_are_told(cli: Cli, tmp_path: Path) -> None:
    def refused(output: str, *keys: str) -> str:
        return cli.refused("export", *(keys or ("--all",)), "-o", output)

    assert "it is a directory" in refused(str(tmp_path))
    assert f"there is no directory {tmp_path / 'none'}" in refused(str(tmp_path / "none" / "x.tar"))
    assert "is a block: give the key of a turn" in refused(str(tmp_path / "x"), TURN[0].key)
    assert "no entry has a key that begins so" in refused(str(tmp_path / "x"), "0" * 32)
    assert "leave it out" in cli.refused("export", "--all", "-o", "-", "--json")
    assert "give the keys of turns" in cli.refused("export", "-o", "x")
    assert "no possible file" in refused("a\0b")
    assert not (tmp_path / "x").exists()


# -- archives that are none, or mean harm ----------------------------------------------------------


def test_a_file_that_is_no_archive_is_refused(there: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x"
    for content in (b"", b"hello", b"\x1f\x8b" + bytes(600), os.urandom(2000)):
        path.write_bytes(content)
        assert "this is no archive of saved turns" in there.refused("import", str(path))
    assert "No such file" in there.refused("import", str(tmp_path / "none"))
    assert "it is no file" in there.refused("import", str(tmp_path))
    assert "no possible path" in there.refused("import", "a\0b")
    assert not there.state.exists()


def test_names_and_links_in_an_archive_lead_nowhere(there: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(
        archive(
            member("/etc/evil", encoded(TURN[0])),
            member("../../evil", encoded(TURN[1])),
            member("snapshots", b"", tarfile.SYMTYPE),
            member("hard", b"", tarfile.LNKTYPE),
            member("dir", b"", tarfile.DIRTYPE),
            member("fifo", b"", tarfile.FIFOTYPE),
            member("x" * 300, encoded(TURN[2])),  # its name is a member of its own before it
            member("\x1b[31mred", b"not an entry"),
            member("last", encoded(TURN[3])),
        )
    )
    done = there("import", str(path))
    assert done.code == 1
    assert done.err.count("it is no file, as entries are") == 5
    assert done.err.count("it is damaged in its magic") == 1
    assert "\x1b" not in done.err
    assert set(there.listed()) == {entry.key for entry in TURN}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["there", "x.tar"]


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def without_end(data: bytes) -> bytes:
    return data.rstrip(b"\0") + bytes(512 - len(data.rstrip(b"\0")) % 512)


@pytest.mark.parametrize("spoil", [cut, without_end])
def test_what_came_whole_is_kept_though_the_archive_ends_too_early(
    spoil: Callable[[bytes], bytes], there: Cli, tmp_path: Path
) -> None:
    path = tmp_path / "x.tar"
    path.write_bytes(spoil(archive(*(member(entry.key, encoded(entry)) for entry in TURN))))
    done = there("import", str(path))
    assert done.code == 1
    assert "the archive ends" in done.err
    assert TURN[0].key in there.listed()


def test_a_size_that_is_made_up_allocates_nothing(there: Cli, tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    for size in (1 << 60, 1 << 33, -512):
        info = tarfile.TarInfo("made up")
        info.size = size
        path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
        done = there("import", str(path))
        assert done.code == (2 if size < 0 else 1)


def test_one_flipped_bit_is_never_taken_in(there: Cli, tmp_path: Path) -> None:
    """Wherever it is: in a header, in a digest, in tokens, in rows."""
    whole = archive(*(member(entry.key, encoded(entry)) for entry in TURN[-2:]))
    good = {entry.key: encoded(entry) for entry in TURN}
    for at in range(0, len(whole), 97):
        path = tmp_path / "x.tar"
        content = bytearray(whole)
        content[at] ^= 1 << at % 8
        path.write_bytes(content)
        assert there("import", str(path)).code in (0, 1, 2)
        for one in (there.state / "snapshots").glob("??/*"):
            assert one.read_bytes() == good[one.name[:32]]
        shutil.rmtree(there.state, ignore_errors=True)


def test_what_finds_no_room_is_told(
    cli: Cli, there: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.tar"
    total = sum(size for size, _ in cli.all_files().values())
    assert cli("export", "--all", "-o", str(path)).code == 0
    monkeypatch.setenv("ACTORLLAMA_CACHE_DISK_LIMIT_BYTES", "2500")
    done = there("import", str(path))
    assert done.code == 1
    assert "Raise its limit" in done.err
    monkeypatch.setenv("ACTORLLAMA_CACHE_DISK_LIMIT_BYTES", str(total - 100))
    done = there("import", str(path))
    assert "went to make room; cache.disk_limit_bytes is the limit" in done.err


# -- the embedded model ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    return save_turns(tmp_path_factory.mktemp("saved") / "state")


@pytest.mark.slow
@pytest.mark.model
def test_a_turn_goes_on_elsewhere_as_if_it_had_never_moved(
    saved: Saved, spawn: Spawn, tmp_path: Path
) -> None:
    path, there = str(tmp_path / "turns.tar"), tmp_path / "there"
    done = spawn("cache", "export", "--state-dir", str(saved.state), *saved.keys, "-o", path)
    assert done.code == 0, done.err
    done = spawn("cache", "import", "--state-dir", str(there), path)
    assert done.code == 0, done.err
    assert done.err.count("all its rows are here") == 2
    for key, rest in zip(saved.keys, saved.rest, strict=True):
        tokens, n_cached = resumed(there, key)
        assert tokens == rest
        assert n_cached > 128


@pytest.mark.slow
@pytest.mark.model
def test_a_turn_without_its_rows_goes_on_the_same_and_rows_know_their_place(
    saved: Saved, invoke: Invoke, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    shutil.copytree(saved.state, state)
    cli = Cli(invoke=invoke, state=state)
    blocks = items(cli.json("ls", "--kind", "block"), "entries")
    parents = {str(one["key"]): one["parent"] for one in blocks}
    first = next(key for key, parent in parents.items() if parent not in parents)
    assert cli("rm", saved.keys[1]).code == 0
    assert cli("rm", first).code == 0

    gone = items(cli.json("gc", "--dry-run"), "gone")
    assert {one["reason"] for one in gone} == {"behind a gap"}
    assert len(gone) == len(cli.listed()) - 1
    assert resumed(state, saved.keys[0])[0] == saved.rest[0]

    assert cli("rm", "--all", "--yes").code == 0


@pytest.mark.slow
@pytest.mark.model
def test_rows_without_any_turn_stay_if_they_are_whole_from_the_first(
    saved: Saved, invoke: Invoke, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    shutil.copytree(saved.state, state)
    cli = Cli(invoke=invoke, state=state)
    assert cli("rm", *saved.keys).code == 0
    n_rows = len(cli.listed())
    assert n_rows > 2
    assert cli.json("gc")["gone"] == []

    blocks = items(cli.json("ls", "--kind", "block"), "entries")
    parents = {str(one["key"]): one["parent"] for one in blocks}
    first = next(key for key, parent in parents.items() if parent not in parents)
    assert cli("rm", first).code == 0
    gone = items(cli.json("gc"), "gone")
    assert len(gone) == n_rows - 1
    assert cli.listed() == []


@pytest.mark.slow
@pytest.mark.model
def test_all_commands_work_beside_a_runtime(saved: Saved, invoke: Invoke, tmp_path: Path) -> None:
    """Even the ones that take everything away: what is gone is computed again."""
    state = tmp_path / "state"
    shutil.copytree(saved.state, state)
    cli = Cli(invoke=invoke, state=state)

    def meanwhile() -> None:
        for name in ("ls", "stat", "check", "gc"):
            assert cli(name).code == 0
        assert cli("export", "--all", "-o", str(tmp_path / "x.tar")).code == 0
        assert cli("gc", "--limit", "0").code == 0
        assert cli("import", str(tmp_path / "x.tar")).code == 0
        assert cli("rm", *(key for key in cli.listed() if key not in saved.keys)).code == 0

    assert resumed(state, saved.keys[0], meanwhile=meanwhile) == (saved.rest[0], 0)
    assert resumed(state, saved.keys[1], meanwhile=lambda: None)[0] == saved.rest[1]
    assert cli("check").code == 0


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.parametrize("family", ["gemma3", "mamba", "jamba"])
def test_windows_and_recurrent_states_are_carried_and_spared_too(
    family: str, invoke: Invoke, there: Cli, tmp_path: Path
) -> None:
    """What they keep stands alone, or is of no use without the blocks before it."""
    path = cached_random_model(Path(gettempdir()) / "actorllama-props", family, seed=3)
    saved = save_turns(tmp_path / "state", path)
    cli = Cli(invoke=invoke, state=saved.state)
    assert cli.json("gc")["gone"] == []
    (space,) = items(cli.json("stat"), "namespaces")
    assert space["n_turns"] == 2

    archive_path = str(tmp_path / "x.tar")
    assert cli("export", "--all", "-o", archive_path).code == 0
    assert there("import", archive_path).code == 0
    tokens, n_cached = resumed(there.state, saved.keys[0], path)
    assert tokens == saved.rest[0]
    assert n_cached > 128

    assert cli("rm", *saved.keys).code == 0  # now nothing tells of their namespace but they themselves
    assert cli.json("gc")["gone"] == []
    blocks = items(cli.json("ls", "--kind", "block"), "entries")
    assert (blocks == []) == (family == "mamba")
    if blocks:
        assert cli("rm", *(str(one["key"]) for one in blocks)).code == 0
        assert {one["kind"] for one in items(cli.json("gc"), "gone")} == {"boundary"}
        assert cli.listed() == []
