"""Laws of the console's values."""

from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from actorllama.cli.console.lines import Do, Say, parse
from actorllama.cli.console.markdown_stream import settled
from actorllama.cli.console.store import Store
from actorllama.cli.console.talk import Exchange, Speaker, Talk
from actorllama.errors import RequestError

TEXTS = st.text(max_size=60)
EXCHANGES = st.builds(
    Exchange,
    user=TEXTS,
    reply=TEXTS,
    seed=st.integers(min_value=0, max_value=2**64 - 1),
    resume_key=st.none() | st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    is_cut=st.booleans(),
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(min_value=0.01, max_value=2.0),
        "top_k": st.integers(min_value=0, max_value=100),
        "max_tokens": st.integers(min_value=1, max_value=1000),
    },
)
TALKS = st.builds(
    Talk,
    name=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    speaker=st.builds(Speaker, name=st.just("demo"), path=TEXTS),
    system=TEXTS,
    settings=SETTINGS,
    exchanges=st.lists(EXCHANGES, max_size=4).map(tuple),
    pending=st.none() | TEXTS,
    is_saved=st.just(True),
)
MARKDOWN = st.text(alphabet="a`~ \n\r\t#*", max_size=40)


@given(TALKS)
def prop_a_conversation_comes_back_as_it_was_saved(talk: Talk) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.write(talk)
        assert store.read(talk.name) == talk


@given(TALKS, st.data())
def prop_a_damaged_file_is_refused_or_says_the_same(talk: Talk, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.write(talk)
        path = store.directory / f"{talk.name}.json"
        whole = bytearray(path.read_bytes())
        at = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))
        whole[at] = data.draw(st.integers(min_value=0, max_value=255))
        path.write_bytes(whole)
        with suppress(RequestError):
            assert store.read(talk.name) == talk


@given(st.lists(EXCHANGES, max_size=4), EXCHANGES)
def prop_undoing_takes_back_exactly_the_last_turn(said: list[Exchange], last: Exchange) -> None:
    before = Talk(name="one", speaker=Speaker(name="demo", path="demo"), exchanges=tuple(said))
    after = before.asking(last.user).answered(last)
    assert after.undone() == before
    assert after.again(None)[:2] == (before, last.user)


@given(st.text(max_size=60))
def prop_every_line_is_nothing_a_message_or_a_command(line: str) -> None:
    match parse(line):
        case None:
            assert not line.strip()
        case Say(text=text):
            assert text
            assert text in line
        case Do(name=name, rest=rest):
            assert line.strip().startswith("/")
            assert name in line
            assert rest in line


@given(MARKDOWN, MARKDOWN)
def prop_what_is_settled_stays_settled(text: str, more: str) -> None:
    n_settled = settled(text)
    assert 0 <= n_settled <= len(text)
    assert settled(text + more) >= n_settled
