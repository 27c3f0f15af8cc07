"""The runtime seen from the console."""

import pytest

from actorllama.actors import TreeNode
from actorllama.cli.console.actors_seen import flat, parent_of
from tests.cli.shell import Done, Spawn


def node(id_: str, pid: int | None, *children: TreeNode) -> TreeNode:
    return TreeNode(
        id=id_,
        pid=pid,
        kind="Server",
        phase="running",
        state="",
        n_queued=0,
        n_waiting=0,
        n_messages=0,
        age_s=0.0,
        n_restarts=0,
        current="",
        children=children,
    )


TREE = (node("root", 1, node("gone", None), node("inner", 2, node("leaf", 3))), node("lone", 4))


def test_a_tree_is_told_as_a_list_of_those_who_live() -> None:
    assert [one.id for one in flat(TREE)] == ["root", "inner", "leaf", "lone"]


@pytest.mark.parametrize(("pid", "parent"), [(1, None), (2, 1), (3, 2), (4, None), (9, None)])
def test_everybody_has_one_parent_or_none(pid: int, parent: int | None) -> None:
    assert parent_of(TREE, pid) == parent


def told(spawn: Spawn, *lines: str) -> Done:
    return spawn("console", stdin="\n".join(("/set temperature 0", *lines)).encode())


@pytest.mark.slow
@pytest.mark.model
def test_a_killed_model_is_rebuilt_and_the_conversation_goes_on(spawn: Spawn) -> None:
    done = told(spawn, "My name is Bob.", "/kill model:demo", "What is my name?", "/models")
    assert done.code == 0, done.err
    assert "ModelActor  running  state=" in done.out
    assert "restarts=1" in done.out
    assert "Your name is Bob.\n" in done.out
    assert "has taken its place)" in done.err


@pytest.mark.slow
@pytest.mark.model
def test_a_killed_cache_takes_the_models_along_and_they_come_back(spawn: Spawn) -> None:
    done = told(spawn, "My name is Bob.", "/kill cache", "What is my name?")
    assert done.code == 0, done.err
    assert done.out.endswith("Your name is Bob.\n")
    assert "is loaded again)" in done.err


@pytest.mark.slow
@pytest.mark.model
def test_what_nobody_looks_after_is_not_killed(spawn: Spawn) -> None:
    done = told(spawn, "/kill runtime", "/kill nobody", "/kill m", "/kill", "Spell cat.")
    assert (done.code, done.out) == (2, "c a t\n")
    assert "it would stay dead" in done.err
    assert "name one: /tree shows them" in done.err


@pytest.mark.slow
@pytest.mark.model
def test_actors_are_shown_from_all_sides(spawn: Spawn) -> None:
    done = told(
        spawn,
        "/tree",
        "/top",
        "/messages model:demo",
        "/info model:demo",
        "Hello",
        "/messages model:demo",
        "/suspend #3",
        "/info #3",
        "/resume #3",
        "/models",
        "/cache",
        "/pressure",
    )
    assert done.code == 0, done.err
    for words in ("└─ runtime#1  Supervisor", "HANDLED", "kind              ModelActor", "TakeTurn("):
        assert words in done.out
    for words in (
        "phase             suspended",
        "RESUMES",
        "used_bytes",
        "SEEN BY",
        "host: calm",
        "  offered  ",
    ):
        assert words in done.out


@pytest.mark.slow
@pytest.mark.model
def test_events_and_traces_are_shown_while_they_are_wanted(spawn: Spawn) -> None:
    done = told(
        spawn,
        "/events engine.turn",
        "Spell cat.",
        "/events off",
        "/trace cache",
        "Spell cat.",
        "/trace cache off",
        "Spell cat.",
    )
    assert done.code == 0, done.err
    assert "  * engine.turn.started  queue_s=" in done.out
    assert "  * actors.actor.trace  " in done.out
    assert done.out.splitlines()[-1] == "c a t"


@pytest.mark.slow
@pytest.mark.model
def test_another_model_is_loaded_used_and_unloaded(spawn: Spawn) -> None:
    done = told(
        spawn,
        "/load demo other",
        "My name is Bob.",
        "/use other",
        "What is my name?",
        "/unload demo",
        "/models",
        "/unload",
        "Spell cat.",
    )
    assert done.code == 2
    assert "Your name is Bob.\n" in done.out
    assert "*  other  ready" in done.out
    assert done.err.splitlines()[-1].startswith("actorllama: no model is loaded as 'other'")


@pytest.mark.slow
@pytest.mark.model
def test_a_bench_tells_speeds(spawn: Spawn) -> None:
    done = told(spawn, "/bench 8", "/bench many")
    assert done.code == 2
    assert "reply           8" in done.out


@pytest.mark.slow
@pytest.mark.model
def test_python_sees_the_runtime_and_the_conversation(spawn: Spawn) -> None:
    done = told(
        spawn,
        "My name is Bob.",
        "/py [one.name for one in await rt.models()]",
        "/py 1 / 0",
        "/py",
        "for word in ('What', 'Who'):",
        "    question = f'{word} is my name?'",
        "    break",
        "",
        "(await chat.say(question, temperature=0.0)).text",
        "exit",
        "/py question",
        "Spell cat.",
    )
    assert done.code == 0, done.err
    assert "['demo']\n" in done.out
    assert "ZeroDivisionError: division by zero\n" in done.out
    assert done.out.endswith("'Your name is Bob.'\n'What is my name?'\nc a t\n")
