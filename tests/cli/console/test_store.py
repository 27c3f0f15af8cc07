"""Conversations on disk."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import evolve

from actorllama.cli.console.store import Store
from actorllama.cli.console.talk import Exchange, Speaker, Talk
from actorllama.cli.console.talk_file import check_name
from actorllama.errors import ConversationChanged, RequestError

TALK = Talk(
    name="trip",
    speaker=Speaker(name="demo", path="demo", options={"n_seq": 8, "layout": "isolated"}),
    system="Be terse.",
    settings={"temperature": 0.5, "seed": 3},
    exchanges=(
        Exchange(user="héllo", reply="hi\n\u2028", seed=3, resume_key="ab12"),
        Exchange(user="more", reply="so", seed=4, is_cut=True),
    ),
    pending="and \ud83d?",
    is_saved=True,
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(TALK)
    assert store.read("trip") == TALK
    assert store.names() == ("trip",)


def test_only_the_owner_may_read_it_and_nothing_else_is_left(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(TALK)
    (path,) = store.directory.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert store.directory.stat().st_mode & 0o077 == 0


def test_a_new_conversation_does_not_replace_another(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.write_new(TALK)
    assert not store.write_new(evolve(TALK, system="other"))
    assert store.read("trip").system == "Be terse."
    assert len(list(store.directory.iterdir())) == 1


def test_a_deleted_conversation_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(TALK)
    store.delete("trip")
    assert store.names() == ()
    with pytest.raises(RequestError, match="not saved here"):
        store.read("trip")
    with pytest.raises(RequestError):
        store.delete("trip")


def other_version(text: str) -> str:
    return text.replace('"version": 1', '"version": 2')


def changed_reply(text: str) -> str:
    return text.replace('"so"', '"no"')


def cut(text: str) -> str:
    return text[: len(text) // 2]


def a_list(_text: str) -> str:
    return "[]"


def deep(_text: str) -> str:
    return "[" * 100_000


@pytest.mark.parametrize("damage", [other_version, changed_reply, cut, a_list, deep])
def test_a_damaged_file_is_refused_and_named(tmp_path: Path, damage: Callable[[str], str]) -> None:
    store = Store(tmp_path)
    store.write(TALK)
    path = store.directory / "trip.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(RequestError, match=r"trip\.json cannot be used"):
        store.read("trip")


def test_the_file_is_readable_json(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(TALK)
    whole = json.loads((store.directory / "trip.json").read_text())
    assert (whole["format"], whole["version"]) == ("actorllama conversation", 1)


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a b", "x" * 65])
def test_a_name_cannot_lead_elsewhere(name: str) -> None:
    with pytest.raises(RequestError):
        check_name(name)


def test_what_somebody_else_has_written_since_is_not_written_over(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine = store.write(TALK)
    theirs = store.write(evolve(store.read("trip"), system="theirs"))
    with pytest.raises(ConversationChanged, match="/save trip --force writes over that one") as refused:
        store.write(evolve(mine, system="mine"))
    assert (refused.value.conversation, refused.value.was_known) == ("trip", True)
    with pytest.raises(ConversationChanged, match="another one as that"):
        store.write(evolve(TALK, system="mine"))
    assert store.read("trip").system == "theirs"
    assert store.write(evolve(theirs, system="more")).head == store.read("trip").head
    assert store.write_over(evolve(mine, system="mine")) == store.read("trip")
    assert store.names() == ("trip",)


def test_what_somebody_else_has_deleted_is_written_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine = store.write(TALK)
    store.delete("trip")
    store.write(evolve(mine, system="mine"))
    assert store.read("trip").system == "mine"


def test_a_file_that_was_damaged_meanwhile_is_not_written_over_either(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine = store.write(TALK)
    path = store.directory / "trip.json"
    path.write_text(changed_reply(path.read_text()))
    with pytest.raises(ConversationChanged):
        store.write(mine)


def test_only_a_state_that_is_known_is_taken_away(tmp_path: Path) -> None:
    store = Store(tmp_path)
    mine = store.write(TALK)
    theirs = store.write(evolve(mine, system="theirs"))
    store.delete_known(mine)
    assert store.names() == ("trip",)
    store.delete_known(theirs)
    store.delete_known(theirs)
    assert store.names() == ()
