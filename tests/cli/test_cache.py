"""``actorllama cache ls``, ``stat`` and ``check``: what looks and changes nothing."""

import json
import os
from pathlib import Path

import pytest

from actorllama.cli.cache_units import ago, bytes_from, seconds_from
from actorllama.errors import RequestError
from actorllama.kvcache.layout import temporary_name
from actorllama.kvcache.owner import Owner
from tests.cli.saved_turns import NAMESPACE, Cli, file_of, items, made_up_turn, put
from tests.cli.shell import Invoke
from tests.kvcache.samples import snapshot_of

TURN = made_up_turn(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, label="the first")
OTHER = made_up_turn(1, 2, 3, 4, 9, 9, 9, 9, 9)
ALIEN = made_up_turn(4, 4, 4, 4, 4, namespace="abcdef")
DEAD = Owner(boot="01234567", pid_space=1, pid=1, started=1)


@pytest.fixture
def cli(invoke: Invoke, tmp_path: Path) -> Cli:
    put(tmp_path / "state", TURN, OTHER, ALIEN)
    return Cli(invoke=invoke, state=tmp_path / "state")


def test_turns_are_listed_before_rows_the_last_used_first(cli: Cli) -> None:
    lines = cli("ls").out.splitlines()
    assert lines[0].split() == [
        "KIND", "KEY", "SIZE", "TOKENS", "USED", "SAVED", "NAMESPACE", "ROWS", "LABEL",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == ["snapshot"] * 3 + ["boundary"] + ["block"] * 4
    assert cli.listed()[:3] == [ALIEN[-1].key, OTHER[-1].key, TURN[-1].key]
    assert cli("ls").err == "8 entries\n"


def test_a_listing_says_what_each_entry_is(cli: Cli) -> None:
    answer = cli.json("ls", "--kind", "snapshot")
    entries = items(answer, "entries")
    assert answer["n_found"] == 3
    told = {one["key"]: one for one in entries}[TURN[-1].key]
    assert (told["label"], told["n_tokens"], told["n_prompt"]) == ("the first", 10, 1)
    assert (told["namespace"], told["created_s"]) == (NAMESPACE, 1_790_000_000.0)
    assert (told["n_rows"], told["n_missing_rows"], told["is_readable"]) == (3, 0, True)
    assert told["n_bytes"] == file_of(cli.state, TURN[-1]).stat().st_size


def test_a_listing_can_be_narrowed(cli: Cli) -> None:
    cli.age(TURN[-1], days=31)
    assert cli.listed("--older-than", "30d") == [TURN[-1].key]
    assert cli.listed("--kind", "boundary") == [TURN[2].key]
    assert set(cli.listed("--namespace", "abc")) == {entry.key for entry in ALIEN}
    assert cli.listed("--limit", "1", "--namespace", "abc") == [ALIEN[-1].key]
    assert cli.listed("--kind", "block", "--sort", "size")[-1] == ALIEN[0].key
    done = cli("ls", "--limit", "2")
    assert done.err == "8 entries; 2 are shown, --limit 0 shows all\n"
    assert len(cli.listed("--limit", "0")) == 8


def test_rows_have_the_namespace_of_their_turns(cli: Cli) -> None:
    entries = items(cli.json("ls", "--kind", "block"), "entries")
    assert {one["key"]: one["namespace"] for one in entries} == {
        **{entry.key: NAMESPACE for entry in (*TURN[:2], OTHER[1])},
        ALIEN[0].key: "abcdef",
    }


def test_a_turn_whose_rows_are_gone_is_still_listed(cli: Cli) -> None:
    file_of(cli.state, TURN[1]).unlink()
    row = next(line for line in cli("ls").out.splitlines() if TURN[-1].key[:10] in line)
    assert "2 of 3" in row


def test_a_damaged_header_is_no_failure_of_the_list(cli: Cli) -> None:
    file_of(cli.state, TURN[-1]).write_bytes(b"\0" * 500)
    done = cli("ls")
    assert done.code == 0
    assert "see `actorllama cache check`" in done.out
    assert cli.json("stat")["n_unreadable"] == 1


def test_looking_changes_nothing(cli: Cli) -> None:
    file_of(cli.state, OTHER[0]).write_bytes(b"\0" * 500)
    before = cli.all_files()
    for name in ("ls", "stat"):
        assert cli(name).code == 0
    assert cli("gc", "--dry-run", "--older-than", "0s", "--limit", "0").code == 0
    assert cli("export", "--all", "-o", str(cli.state.parent / "x.tar")).code == 1
    assert cli.all_files() == before


def test_stat_counts_every_byte(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    (cli.state / "snapshots" / temporary_name("ab" * 16, DEAD)).parent.mkdir(exist_ok=True)
    (cli.state / "snapshots" / temporary_name("ab" * 16, DEAD)).write_bytes(bytes(100))
    monkeypatch.setenv("ACTORLLAMA_CACHE_DISK_LIMIT_BYTES", "100000")
    answer = cli.json("stat")
    n_bytes = sum(size for size, _ in cli.all_files().values())
    assert (answer["used_bytes"], answer["limit_bytes"]) == (n_bytes, 100_000)
    assert answer["used_share"] == n_bytes / 100_000
    assert answer["unfinished"] == {"n_files": 1, "n_bytes": 100}
    assert (answer["n_resumable"], answer["n_recomputed"]) == (3, 0)
    spaces = items(answer, "namespaces")
    assert [(one["namespace"], one["n_turns"], one["n_files"]) for one in spaces] == [
        (NAMESPACE, 2, 6),
        ("abcdef", 1, 2),
    ]
    assert sum(int(str(one["n_bytes"])) for one in spaces) == n_bytes - 100
    assert "3 with all their rows, 0 that are computed again" in cli("stat").out


def test_check_sets_aside_what_is_damaged_and_says_so(cli: Cli) -> None:
    assert cli("check").out.startswith("8 entries read: 0 damaged")
    path = file_of(cli.state, TURN[1])
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)

    answer = cli.json("check", code=1)
    damaged = items(answer, "damaged")
    assert (answer["n_checked"], answer["n_corrupt"]) == (8, 1)
    assert (damaged[0]["key"], damaged[0]["section"]) == (TURN[1].key, "KVST")
    assert not path.exists()
    assert cli("check").code == 0
    stat = cli.json("stat")
    assert (stat["n_resumable"], stat["n_recomputed"]) == (2, 1)
    assert stat["quarantined"] == {"n_files": 1, "n_bytes": len(content)}


def test_people_are_told_what_a_check_found(cli: Cli) -> None:
    path = cli.state / "snapshots" / temporary_name("ab" * 16, DEAD)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    os.utime(path, ns=(0, 0))
    file_of(cli.state, TURN[0]).write_bytes(b"")
    done = cli("check")
    assert (done.code, done.out) == (
        1,
        "8 entries read: 1 damaged, 0 of another version or too large, 0 unreadable\n",
    )
    assert done.err.splitlines() == [
        f"{TURN[0].key}: damaged in its magic, set aside",
        "1 unfinished file removed",
        "`actorllama cache gc --quarantine` frees the bytes of what was set aside",
    ]


def test_a_turn_with_rows_of_its_own_or_none_says_so(invoke: Invoke, tmp_path: Path) -> None:
    own, bare = snapshot_of(3), made_up_turn(1)[-1]
    put(tmp_path, [own], [bare])
    cli = Cli(invoke=invoke, state=tmp_path)
    lines = cli("ls").out.splitlines()
    assert "own" in next(line for line in lines if own.key[:10] in line)
    assert "computed again" in next(line for line in lines if bare.key[:10] in line)
    assert (cli.json("stat")["n_resumable"], cli.json("stat")["n_recomputed"]) == (1, 1)
    assert "1 with all their rows, 1 that are computed again" in cli("stat").out


def test_an_empty_state_directory_is_fine(invoke: Invoke, tmp_path: Path) -> None:
    cli = Cli(invoke=invoke, state=tmp_path)
    assert cli.listed() == []
    assert cli.json("stat")["used_bytes"] == 0
    for name in ("ls", "stat", "check", "gc"):
        assert cli(name).code == 0
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "snapshots"])


def test_a_wrong_directory_is_told(cli: Cli) -> None:
    def refused(state: Path) -> str:
        return Cli(invoke=cli.invoke, state=state).refused("ls")

    assert "there is no such directory" in refused(cli.state / "none")
    assert f"give the one above, {cli.state}" in refused(cli.state / "snapshots")
    assert "it is no directory" in refused(file_of(cli.state, TURN[0]))
    assert "no possible path" in refused(Path("a\0b"))
    assert "is empty" in cli.invoke("cache", "ls", "--state-dir", "").err
    assert "Missing option '--state-dir'" in cli.invoke("cache", "ls").err


def test_words_that_are_no_sizes_and_no_ages_are_told(cli: Cli) -> None:
    assert "is no length of time: write 90s" in cli.refused("ls", "--older-than", "soon")
    assert "is no size: write 1000" in cli.refused("gc", "--limit", "much")


def test_sizes_and_ages_are_read_as_people_write_them() -> None:
    assert [bytes_from(text, field="x") for text in ("0", "17", "500MB", "2 GiB", "1.5k", "3b")] == [
        0, 17, 500_000_000, 2 << 30, 1500, 3,
    ]  # fmt: skip
    assert [seconds_from(text, field="x") for text in ("90s", "1m", "0.5h", "2D", "1w")] == [
        90, 60, 1800, 172_800, 604_800,
    ]  # fmt: skip
    for text in ("", "-1", "1.5.5", "1ib", "9" * 400, "1e9", "nan"):
        with pytest.raises(RequestError):
            bytes_from(text, field="x")
    for text in ("", "30", "1y", "-1s", "9" * 400 + "w"):
        with pytest.raises(RequestError):
            seconds_from(text, field="x")
    assert [ago(seconds) for seconds in (-5, 0, 99, 101, 5999, 7200, 172_801)] == [
        "0 s", "0 s", "99 s", "2 min", "100 min", "2 h", "2 d",
    ]  # fmt: skip


def test_a_list_of_one_json_object_tells_its_root(cli: Cli) -> None:
    assert json.loads(cli("ls", "--json").out)["root"] == str(cli.state / "snapshots")
