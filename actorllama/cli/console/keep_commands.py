"""Commands that keep conversations on disk and bring them back."""

from __future__ import annotations

from typing import Final

import trio
from attrs import evolve

from actorllama.cli.console.desk import Desk
from actorllama.cli.console.model_commands import load_model
from actorllama.cli.console.speakers import find_speaker, load_speaker
from actorllama.cli.console.table import Command
from actorllama.cli.console.talk import Talk
from actorllama.cli.console.talk_file import check_name
from actorllama.errors import RequestError

__all__ = ["KEEP_COMMANDS", "load_talk"]

_FORCE: Final = "--force"


async def _save(desk: Desk, rest: str) -> None:
    talk = desk.talk
    words = rest.split()
    is_forced = _FORCE in words
    name = check_name(" ".join(word for word in words if word != _FORCE) or talk.name)
    if name != talk.name and name in desk.session.names:
        raise RequestError(field="name", value=name, reason="another conversation here is called so")
    write = desk.store.write_over if is_forced else desk.store.write
    new = talk if name == talk.name else evolve(talk, name=name, head=None)
    saved = await trio.to_thread.run_sync(write, new)
    desk.session = desk.session.renamed(talk.name, saved)
    if talk.head is not None and name != talk.name:
        await trio.to_thread.run_sync(
            desk.store.delete_known, talk
        )  # it was saved by itself, under that name
    desk.front.note(f"(saved as {name}; every turn is from now on. /load {name} goes on with it)")


async def load_talk(desk: Desk, name: str) -> None:
    """Go on with a saved conversation, and load its model where it is not loaded.

    What was said here under that name and is not in the file stays, under another name.

    Raises:
        RequestError: There is none of this name, or it cannot be used.
        ModelLoadError: Its model cannot be loaded any more.
    """
    talk = await trio.to_thread.run_sync(desk.store.read, name)
    speaker = await find_speaker(desk.runtime, talk.speaker)
    if speaker is None:
        desk.front.note(f"(loading {talk.speaker.path})")
        speaker = await load_speaker(desk.runtime, talk.speaker)
    await _put_aside(desk, talk)
    desk.session = desk.session.with_talk(evolve(talk, speaker=speaker))
    n_turns = len(talk.exchanges)
    desk.front.note(f"({name}: {n_turns} {'turn' if n_turns == 1 else 'turns'}; it goes on where it stood)")
    if talk.pending is not None:
        desk.front.note(f"(the reply to {talk.pending!r} was lost: /regen asks again, /undo forgets it)")


async def _put_aside(desk: Desk, loaded: Talk) -> None:
    """Give what was said here under the name of a loaded conversation another one, if that lacks it."""
    if loaded.name not in desk.session.names:
        return
    old = desk.session.find(loaded.name)
    if loaded.has_all_of(old):
        return
    other = evolve(old, name=await desk.free_name(), is_saved=False, head=None)
    desk.session = desk.session.switched(old.name)
    await desk.keep(other)
    desk.front.note(f"(what was said here and is not saved in {loaded.name} stays, as {desk.talk.name})")


async def _load(desk: Desk, rest: str) -> None:
    if not rest:
        saved = await trio.to_thread.run_sync(desk.store.names)
        desk.front.show_table(("SAVED",), [(name,) for name in saved])
    elif "/" in rest or rest.split()[0].endswith(".gguf") or rest.split()[0] == "demo":
        await load_model(desk, rest)
    else:
        await load_talk(desk, rest)


async def _delete(desk: Desk, rest: str) -> None:
    await trio.to_thread.run_sync(desk.store.delete, rest)
    talks = tuple(
        evolve(one, is_saved=False, head=None) if one.name == rest else one for one in desk.session.talks
    )
    desk.session = evolve(desk.session, talks=talks)
    desk.front.note(f"({rest}: its file is gone)")


KEEP_COMMANDS: Final = (
    Command(
        name="save",
        usage="[NAME] [--force]",
        group="Keep",
        summary="keep this conversation under a name; from then on every turn is saved",
        more="A kill in the middle of a reply loses that reply and nothing else. What another console has "
        "saved as that meanwhile is not written over, unless --force says so. Example: /save trip",
        completes="saved",
        run=_save,
    ),
    Command(
        name="load",
        usage="[NAME | MODEL.gguf [AS]]",
        group="Keep",
        summary="go on with a saved conversation, or load one more model",
        more="A conversation goes on from its saved state, after a restart too: the tokens are those of the "
        "unbroken one. Something with a / or .gguf is a model, and so is demo. "
        "Examples: /load trip, /load ./model.gguf big",
        completes="saved_and_paths",
        run=_load,
    ),
    Command(
        name="delete",
        usage="NAME",
        group="Keep",
        summary="remove the file of a saved conversation",
        completes="saved",
        run=_delete,
    ),
)
