"""``actorllama cache gc`` and ``rm``: what goes, what stays, and what is said of it."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from actorllama.cli import cache_gc
from actorllama.cli.cache_plan import GcRules, plan_gc
from actorllama.kvcache import KnownFile, StoredEntry, Survey, clear
from actorllama.kvcache.layout import temporary_name
from actorllama.kvcache.owner import Owner
from tests.cli.saved_turns import Cli, file_of, items, made_up_turn, put
from tests.cli.shell import Invoke
from tests.cli.test_terminal import terminal

TURN = made_up_turn(1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
"""Two blocks, a boundary, a snapshot."""
OTHER = made_up_turn(1, 2, 3, 4, 9, 9, 9, 9, 9)
"""Shares the first block; one more block and a snapshot, no boundary."""
DEAD = Owner(boot="01234567", pid_space=1, pid=1, started=1)


@pytest.fixture
def cli(invoke: Invoke, tmp_path: Path) -> Cli:
    put(tmp_path / "state", TURN, OTHER)
    return Cli(invoke=invoke, state=tmp_path / "state")


def keys_of(*entries: StoredEntry) -> set[str]:
    return {entry.key for entry in entries}


def gone_from(answer: Mapping[str, object]) -> dict[str, str]:
    return {str(one["key"]): str(one["reason"]) for one in items(answer, "gone")}


# -- gc --------------------------------------------------------------------------------------------


def test_there_is_nothing_to_clear_where_all_is_well(cli: Cli) -> None:
    answer = cli.json("gc")
    assert (answer["gone"], answer["freed_bytes"]) == ([], 0)
    assert len(cli.listed()) == 6


def test_rows_behind_a_gap_go_and_their_turn_stays(cli: Cli) -> None:
    file_of(cli.state, TURN[0]).unlink()  # the first block of both
    dry = cli.json("gc", "--dry-run")
    assert gone_from(dry) == dict.fromkeys(keys_of(TURN[1], TURN[2], OTHER[1]), "behind a gap")
    assert dry["is_dry_run"] is True
    assert len(cli.listed()) == 5

    assert gone_from(cli.json("gc")) == gone_from(dry)
    assert set(cli.listed()) == keys_of(TURN[-1], OTHER[-1])
    assert cli.json("gc")["gone"] == []


def test_rows_that_no_turn_tells_of_stay_unless_they_say_that_they_are_behind_others(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry in (TURN[-1], OTHER[-1], TURN[0]):
        file_of(cli.state, entry).unlink()
    assert cli.json("gc")["gone"] == []  # made-up rows: nobody can tell their position

    class Part:
        first = 4
        sections = (type("Section", (), {"kind": "attention"}),)

    def part_at_4(_payload: memoryview) -> Part:
        return Part()

    monkeypatch.setattr(cache_gc, "read_part", part_at_4)
    assert set(gone_from(cli.json("gc"))) == keys_of(TURN[1], TURN[2], OTHER[1])


def test_a_turn_without_its_rows_goes_only_if_that_is_asked_for(cli: Cli) -> None:
    file_of(cli.state, TURN[2]).unlink()
    assert cli.json("gc")["gone"] == []
    assert gone_from(cli.json("gc", "--unresumable")) == {TURN[-1].key: "rows are gone"}
    assert set(cli.listed()) == keys_of(*TURN[:2], *OTHER[1:])


def test_what_was_not_used_for_long_goes_and_so_does_what_is_behind_it(cli: Cli) -> None:
    for entry in TURN:
        cli.age(entry, days=40)
    gone = gone_from(cli.json("gc", "--older-than", "30d"))
    assert gone == {**dict.fromkeys(keys_of(*TURN), "old"), OTHER[1].key: "behind a gap"}
    assert cli.listed() == [OTHER[-1].key]


def test_down_to_a_limit_the_oldest_go_as_the_tier_would_choose(cli: Cli) -> None:
    for entry in TURN[1:]:
        cli.age(entry, days=1)
    limit = sum(file_of(cli.state, entry).stat().st_size for entry in OTHER) + 100
    answer = cli.json("gc", "--limit", f"{limit}B")
    assert set(gone_from(answer).values()) == {"over the limit"}
    left = answer["left_bytes"]
    assert isinstance(left, int)
    assert limit - 100 == left
    assert sum(size for size, _ in cli.all_files().values()) == left
    assert cli.listed("--kind", "snapshot") == [OTHER[-1].key]
    cli.json("gc", "--limit", "0")
    assert cli.listed() == []


def test_what_was_set_aside_goes_only_if_that_is_asked_for(cli: Cli) -> None:
    file_of(cli.state, TURN[2]).write_bytes(bytes(1000))
    assert cli("check").code == 1
    assert cli.json("gc")["freed_bytes"] == 0
    answer = cli.json("gc", "--quarantine")
    assert (answer["freed_bytes"], list(gone_from(answer).values())) == (1000, ["quarantined"])


def test_unfinished_files_of_the_dead_and_the_old_go_and_those_of_others_stay(cli: Cli) -> None:
    root = cli.state / "snapshots"
    old, young = (root / temporary_name("ab" * 16, DEAD) for _ in range(2))
    old.parent.mkdir(exist_ok=True)
    old.write_bytes(bytes(10))
    young.write_bytes(bytes(20))
    os.utime(old, ns=(0, 0))
    assert list(gone_from(cli.json("gc")).values()) == ["unfinished"]
    assert (old.exists(), young.exists()) == (False, True)


def test_people_are_told_what_went_and_why(cli: Cli) -> None:
    file_of(cli.state, TURN[1]).unlink()
    done = cli("gc", "--dry-run")
    assert done.out.splitlines()[0].split() == ["WHY", "KIND", "FILES", "SIZE"]
    assert done.out.splitlines()[1].split()[:5] == ["behind", "a", "gap", "boundary", "1"]
    assert " would be freed, " in done.out
    assert " freed, " in cli("gc").out


def test_what_was_used_or_replaced_after_it_was_chosen_is_spared(cli: Cli) -> None:
    survey = Survey(cli.state / "snapshots")
    files = {one.key: one for one, _ in survey.entries()}
    used, replaced, gone = TURN[0].key, TURN[1].key, TURN[2].key
    path = Path(files[used].path)
    os.utime(path, ns=(1, 1))
    beside = Path(files[replaced].path).with_suffix(".x")
    beside.write_bytes(b"new")
    beside.replace(files[replaced].path)
    Path(files[gone].path).unlink()
    told: list[KnownFile] = []
    done = clear(survey.directory, list(files.values()), on_gone=told.append)
    assert {one.key for one in done.spared} == {used, replaced}
    assert done.gone == tuple(told)
    assert {one.key for one in done.gone} == keys_of(*TURN[3:], *OTHER[1:])


def test_a_turn_that_is_being_published_is_no_gap(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory of its first block was listed before that got its name."""
    survey = Survey(cli.state / "snapshots")
    first = str(file_of(cli.state, TURN[0]))
    survey.files = tuple(one for one in survey.files if one.path != first)
    assert survey.lineage().orphans(lambda _one: True) != ()
    rules = GcRules(temporary_age_s=60.0, takes_unresumable=True)
    assert plan_gc(survey, rules, needs_others=lambda _one: True) == ()

    monkeypatch.setattr(survey, "files", ())  # and a turn that came later is not looked at yet
    rules = GcRules(temporary_age_s=60.0, limit_bytes=0)
    assert plan_gc(survey, rules, needs_others=lambda _one: True) == ()


# -- rm --------------------------------------------------------------------------------------------


def test_a_turn_is_removed_by_the_beginning_of_its_key_and_its_rows_are_left(cli: Cli) -> None:
    done = cli("rm", TURN[-1].key[:8])
    assert done.code == 0
    assert done.out.startswith("1 entry removed, ")
    assert "left: 2 of their rows that nothing else needs" in done.err
    assert "left: 1 of their rows that others need" in done.err
    assert set(cli.listed()) == keys_of(*TURN[:-1], *OTHER)


def test_with_rows_those_go_that_nothing_else_needs(cli: Cli) -> None:
    answer = cli.json("rm", "--rows", TURN[-1].key)
    assert answer["row_keys"] == [TURN[2].key, TURN[1].key]  # the last of the chain first
    assert (answer["n_rows_shared"], answer["n_turns_recomputed"]) == (1, 0)
    assert set(cli.listed()) == keys_of(*OTHER, TURN[0])
    cli.json("rm", "--rows", OTHER[-1].key)
    assert cli.listed() == []


def test_rows_that_other_rows_follow_stay(cli: Cli) -> None:
    """Their turn is gone, but a prompt that begins so may use them."""
    assert cli("rm", OTHER[-1].key).code == 0
    assert cli("rm", "--rows", TURN[-1].key).code == 0
    assert set(cli.listed()) == keys_of(TURN[0], OTHER[1])


def test_who_removes_rows_is_told_whom_that_costs(cli: Cli) -> None:
    done = cli("rm", TURN[0].key, TURN[2].key)
    assert "2 turns computed again when resumed" in done.err
    assert set(cli.listed()) == keys_of(TURN[1], TURN[3], *OTHER[1:])


def test_a_damaged_turn_can_be_removed(cli: Cli) -> None:
    file_of(cli.state, TURN[-1]).write_bytes(b"")
    assert cli("rm", TURN[-1].key).code == 0
    assert TURN[-1].key not in cli.listed()


def test_keys_that_name_nothing_or_several_are_told_and_nothing_is_removed(cli: Cli) -> None:
    assert "no entry has a key that begins so" in cli.refused("rm", TURN[-1].key, "0" * 32)
    assert "is no key: give up to 32" in cli.refused("rm", "../../etc/passwd")
    assert "give the keys of what to remove, or --all" in cli.refused("rm")
    assert "give the keys of what to remove, or --all" in cli.refused("rm", "--all", "ab")
    for number in range(20, 40):  # so that some keys begin alike
        put(cli.state, made_up_turn(number, 1))
    first = [key[0] for key in cli.listed("--limit", "0")]
    twice = next(digit for digit in first if first.count(digit) > 1)
    assert "keys begin so: " in cli.refused("rm", twice)
    assert len(cli.listed("--limit", "0")) == 6 + 40


def test_everything_goes_only_for_who_says_so(cli: Cli) -> None:
    assert "add --yes" in cli.refused("rm", "--all")
    assert len(cli.listed()) == 6
    assert cli("rm", "--all", "--yes").out.startswith("6 entries removed")
    assert cli.listed() == []


@pytest.mark.slow
@pytest.mark.parametrize(("answer", "n_left"), [(b"y\r", 0), (b"\r", 6)])
def test_on_a_terminal_it_asks(cli: Cli, answer: bytes, n_left: int) -> None:
    with terminal("cache", "rm", "--all", "--state-dir", str(cli.state)) as tty:
        tty.wait_for(b"[y/N]")
        tty.type(answer)
        assert tty.wait() == 0
    assert len(cli.listed()) == n_left
