"""Two consoles on one saved conversation: nothing that was said is written over."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from actorllama.cli.console.store import Store
from actorllama.cli.console.talk import Exchange, Speaker, Talk
from tests.cli.shell import TIMEOUT_S, Spawn, Start

pytestmark = pytest.mark.slow
SAVED = Talk(
    name="trip",
    speaker=Speaker(name="demo", path="demo"),
    settings={"temperature": 0},
    exchanges=(Exchange(user="My name is Bob.", reply="Nice to meet you, Bob.", seed=0),),
)
ADDS = """
import sys
from pathlib import Path
from actorllama.cli.console.store import Store
from actorllama.cli.console.talk import Exchange
from actorllama.errors import ConversationChanged

store = Store(Path(sys.argv[1]))
for number in range(int(sys.argv[3])):
    while True:
        talk = store.read("trip")
        try:
            store.write(talk.answered(Exchange(user=sys.argv[2], reply=str(number), seed=0)))
        except ConversationChanged:
            continue
        break
"""


@pytest.mark.model
def test_a_console_that_was_overtaken_says_so_and_what_to_do(
    start: Start, spawn: Spawn, tmp_path: Path
) -> None:
    options = ("--threads", "1", "--state-dir", str(tmp_path))
    read_end, write_end = os.pipe()
    slow = start("console", *options, stdin=read_end)
    os.write(write_end, b"/set temperature 0\nMy name is Bob.\n/save trip\n")
    assert slow.stderr is not None
    while b"(saved as trip" not in (line := slow.stderr.readline()):
        assert line, "it ended"

    quick = spawn("console", "--load", "trip", *options, stdin=b"My name is Ada.\n")
    assert quick.code == 0, quick.err

    os.write(write_end, b"What is my name?\n/save\n/save mine\nSpell cat.\n/load trip\nWhat is my name?\n")
    os.close(write_end)
    os.close(read_end)
    out, err = slow.communicate(timeout=TIMEOUT_S)
    assert slow.returncode == 2, err
    told = [text for text in err.decode().splitlines() if text.startswith("actorllama: ")]
    assert len(told) == 2, "once by the turn, once by /save"
    for text in told:
        assert "conversation 'trip' was not saved: somebody else has saved more since." in text
        assert "/load trip" in text
        assert "/save OTHER" in text
        assert "/save trip --force" in text
    assert out.decode().splitlines()[1:] == ["Your name is Bob.", "c a t", "Your name is Ada."]

    store = Store(tmp_path)
    said = {name: [one.user for one in store.read(name).exchanges] for name in store.names()}
    assert said == {
        "trip": ["My name is Bob.", "My name is Ada.", "What is my name?"],
        "mine": ["My name is Bob.", "What is my name?", "Spell cat."],
    }


@pytest.mark.model
def test_what_was_not_saved_stays_under_another_name_when_the_file_is_loaded(
    spawn: Spawn, tmp_path: Path
) -> None:
    store = Store(tmp_path)
    store.write(SAVED)
    lines = (
        *("/new trip", "/set temperature 0", "My name is Ada.", "/save", "/load trip", "What is my name?"),
        *("/switch chat-2", "What is my name?", "/save trip", "/save other"),
    )
    done = spawn("console", "--threads", "1", "--state-dir", str(tmp_path), stdin="\n".join(lines).encode())
    assert done.code == 2
    assert "somebody has saved another one as that" in done.err
    assert "(what was said here and is not saved in trip stays, as chat-2)" in done.err
    assert done.out.splitlines()[1:] == ["Your name is Bob.", "Your name is Ada."]
    assert "another conversation here is called so" in done.err
    assert set(store.names()) == {"trip", "other"}


@pytest.mark.model
def test_force_writes_over_what_is_there(spawn: Spawn, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.write(SAVED)
    lines = b"My name is Ada.\n/save trip --force\n/set temperature 0\n"
    done = spawn("console", "--threads", "1", "--state-dir", str(tmp_path), stdin=lines)
    assert done.code == 0, done.err
    saved = store.read("trip")
    assert [one.user for one in saved.exchanges] == ["My name is Ada."]
    assert saved.settings == {"temperature": 0.0}


def test_of_two_processes_that_go_on_from_one_state_one_is_refused_and_no_turn_is_lost(
    tmp_path: Path,
) -> None:
    n_each = 10
    store = Store(tmp_path)
    store.write(SAVED)
    writers = [
        subprocess.Popen([sys.executable, "-c", ADDS, str(tmp_path), who, str(n_each)])
        for who in ("one", "two")
    ]
    assert [writer.wait(timeout=TIMEOUT_S) for writer in writers] == [0, 0]
    said = store.read("trip").exchanges[len(SAVED.exchanges) :]
    for who in ("one", "two"):
        assert [one.reply for one in said if one.user == who] == [str(number) for number in range(n_each)]
    assert [path.name for path in store.directory.iterdir()] == ["trip.json"]
