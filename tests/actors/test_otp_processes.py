"""The recorded outcomes k1 to k4 of OTP's processes, links, monitors and names, scenario by scenario.

A reason is written as Erlang writes it. What an exception group, atom or pid has no counterpart for is
said beside the line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio

from actorllama.actors import (
    ActorExit,
    Context,
    Crash,
    Down,
    Exit,
    ExitReason,
    Killed,
    NoProcess,
    NoReply,
    Normal,
    Outcome,
    Ready,
    Ref,
    Server,
    Shutdown,
    Stop,
    System,
    open_system,
)
from actorllama.errors import ActorExited, NameTaken

Recorded = Callable[[str], dict[str, str]]
Act = Callable[["Probe"], Awaitable[Outcome]]


class Term(Exception):
    """An Erlang term as an abnormal reason."""


class Probe(Server[object, Act, object]):
    """Does what a cast tells it to do, and remembers its notices."""

    def __init__(self, log: list[object] | None = None) -> None:
        self.log = [] if log is None else log

    async def init(self, ctx: Context) -> Ready:
        return Ready()

    async def handle_cast(self, message: Act) -> Outcome:
        return await message(self)

    async def handle_info(self, message: object) -> Outcome:
        self.log.append(message)
        return NoReply()


class TrappingProbe(Probe):
    trap_exits = True


def show(reason: ExitReason) -> str:
    match reason:
        case Normal():
            return "normal"
        case Shutdown():
            return "shutdown"
        case Killed():
            return "killed"
        case NoProcess():
            return "noproc"
        case Crash(Term() as exc):
            return str(exc)
        case Crash(exc):
            return f"{{{exc},stack}}"


def stop(reason: ExitReason) -> Act:
    async def act(_probe: Probe) -> Outcome:
        return Stop(reason)

    return act


def fail(exc: Exception) -> Act:
    async def act(_probe: Probe) -> Outcome:
        raise exc

    return act


def show_log(log: list[object], word: str) -> str:
    [message] = log
    assert isinstance(message, Exit)
    return f"{{{word},{show(message.reason)}}}"


async def end_of(system: System, act: Act) -> str:
    ref = await system.start(Probe)
    monitor = system.monitor(ref)
    await ref.cast(act)
    return show((await monitor.wait()).reason)


async def after_exit(system: System, reason: ExitReason, *, traps: bool) -> str:
    log: list[object] = []
    ref = await system.start(lambda: TrappingProbe(log) if traps else Probe(log))
    system.send_exit(ref, reason)
    await trio.testing.wait_all_tasks_blocked()
    if ref.exit_reason is not None:
        return show(ref.exit_reason)
    return show_log(log, "got") if log else "survived"


BOOM = Crash(Term("boom"))


async def test_k1_exit_reasons_and_signals_are_those_recorded(recorded: Recorded) -> None:
    async with open_system() as system:
        actual = {
            "k1 return": await end_of(system, stop(Normal())),
            "k1 exit(normal)": await end_of(system, fail(ActorExit(Normal()))),
            "k1 exit(foo)": await end_of(system, fail(ActorExit(Crash(Term("foo"))))),
            "k1 error(bar)": await end_of(system, fail(RuntimeError("bar"))),
        }
        reasons: dict[str, ExitReason] = {
            "normal": Normal(),
            "shutdown": Shutdown(),
            "boom": BOOM,
            "kill": Killed(),
        }
        for word, reason in reasons.items():
            for traps in (False, True):
                label = f"k1 exit(P,{word}) trap={str(traps).lower()}"
                actual[label] = await after_exit(system, reason, traps=traps)
    expected = recorded("k1 ")
    del expected["k1 throw(x)"]  # Python has one way to raise
    assert expected == actual


async def test_k2_monitors_tell_once_each_and_at_once_for_the_dead_and_the_unknown(
    recorded: Recorded,
) -> None:
    log: list[object] = []

    async def watch_dead(probe: Probe) -> Outcome:
        probe.ctx.monitor(dead)
        return NoReply()

    async def watch_thrice(probe: Probe) -> Outcome:
        probe.ctx.monitor(victim)
        probe.ctx.monitor(victim)
        probe.ctx.demonitor(probe.ctx.monitor(victim))
        return NoReply()

    async def watch_name(probe: Probe) -> Outcome:
        probe.ctx.monitor("nosuch")
        return NoReply()

    def downs(target: str) -> str:
        shown: list[str] = []
        for message in log:
            assert isinstance(message, Down)
            shown.append(f"{{'DOWN',ref,process,{target},{show(message.reason)}}}")
        log.clear()
        return f"[{','.join(shown)}]"

    async with open_system() as system:
        watcher = await system.start(lambda: Probe(log))
        dead = await system.start(Probe)
        await dead.stop()
        victim = await system.start(Probe)
        actual: dict[str, str] = {}
        await watcher.cast(watch_dead)
        await trio.testing.wait_all_tasks_blocked()
        actual["k2 monitor dead"] = downs("pid")
        await watcher.cast(watch_thrice)
        await trio.testing.wait_all_tasks_blocked()
        await victim.cast(stop(Crash(Term("z"))))
        await trio.testing.wait_all_tasks_blocked()
        actual["k2 two monitors, third demonitored"] = downs("pid")
        await watcher.cast(watch_name)
        await trio.testing.wait_all_tasks_blocked()
        actual["k2 monitor unregistered name"] = downs("{nosuch,nonode@nohost}")
    assert recorded("k2 ") == actual


async def linked_pair(system: System, *, traps: bool) -> tuple[Ref, Ref, list[object]]:
    log: list[object] = []
    left = await system.start(lambda: TrappingProbe(log) if traps else Probe(log))
    right = await system.start(Probe)

    async def link(probe: Probe) -> Outcome:
        probe.ctx.link(right)
        probe.ctx.link(right)  # idempotent
        return NoReply()

    await left.cast(link)
    await trio.testing.wait_all_tasks_blocked()
    return left, right, log


async def after_peer(system: System, reason: ExitReason, *, traps: bool) -> str:
    left, right, log = await linked_pair(system, traps=traps)
    await right.cast(stop(reason))
    await trio.testing.wait_all_tasks_blocked()
    if left.exit_reason is not None:
        return show(left.exit_reason)
    return show_log(log, "trapped") if log else "survived"


async def test_k3_links_share_fate_as_recorded(recorded: Recorded) -> None:
    async with open_system() as system:
        actual: dict[str, str] = {}
        peer_reasons: dict[str, ExitReason] = {"normal": Normal(), "shutdown": Shutdown(), "boom": BOOM}
        for word, reason in peer_reasons.items():
            for traps in (False, True):
                label = f"k3 linked peer exit({word}) trap={str(traps).lower()}"
                actual[label] = await after_peer(system, reason, traps=traps)

        dead = await system.start(Probe)
        await dead.stop()
        errors: list[ActorExited] = []

        async def link_dead(probe: Probe) -> Outcome:
            try:
                probe.ctx.link(dead)
            except ActorExited as exc:
                errors.append(exc)
            return NoReply()

        log: list[object] = []
        trapping = await system.start(lambda: TrappingProbe(log))
        await trapping.cast(link_dead)
        await trio.testing.wait_all_tasks_blocked()
        [message] = log
        assert isinstance(message, Exit)
        actual["k3 link dead, trapping"] = f"{{'EXIT',pid,{show(message.reason)}}}"
        plain = await system.start(Probe)
        await plain.cast(link_dead)
        await trio.testing.wait_all_tasks_blocked()
        [error] = errors
        assert isinstance(error.reason, NoProcess)
        actual["k3 link dead, not trapping"] = "survived" if plain.is_alive else "died"

        left, right, _log = await linked_pair(system, traps=False)

        async def unlink(probe: Probe) -> Outcome:
            probe.ctx.unlink(right)
            return NoReply()

        await left.cast(unlink)
        await trio.testing.wait_all_tasks_blocked()
        await right.cast(stop(BOOM))
        await trio.testing.wait_all_tasks_blocked()
        actual["k3 unlinked then peer crash"] = "survived" if left.is_alive else "died"
    expected = recorded("k3 ")
    # P5: there is no exit(kill) apart from a kill here; a link tells it as any other reason, and traps.
    for word in ("false", "true"):
        del expected[f"k3 linked peer exit(kill) trap={word}"]
    assert expected == actual


@pytest.mark.parametrize("traps", [False, True])
async def test_a_killed_peer_reaches_a_link_as_a_reason_that_can_be_trapped(traps: bool) -> None:
    async with open_system() as system:
        left, right, log = await linked_pair(system, traps=traps)
        system.kill(right, why="test")
        await trio.testing.wait_all_tasks_blocked()
        assert left.is_alive == traps
        assert log == ([Exit(ref=right, reason=Killed("test"))] if traps else [])


async def test_k4_a_name_is_free_when_its_owners_death_is_heard_of(recorded: Recorded) -> None:
    actual: dict[str, str] = {}
    seen: list[Ref | None] = []

    class Watcher(Probe):
        async def handle_info(self, message: object) -> Outcome:
            seen.append(self.ctx.whereis("it"))
            return NoReply()

    async def watch(probe: Probe) -> Outcome:
        probe.ctx.monitor("it")
        return NoReply()

    async with open_system() as system:
        watcher = await system.start(Watcher)
        owner = await system.start(Probe, name="it")
        with pytest.raises(NameTaken):
            await system.start(Probe, name="it")
        actual["k4 dup register"] = "{error,badarg}"
        await watcher.cast(watch)
        await trio.testing.wait_all_tasks_blocked()
        system.kill(owner, why="test")
        assert system.whereis("it") is None
        await trio.testing.wait_all_tasks_blocked()
        actual["k4 at DOWN whereis"] = "undefined" if seen == [None] else str(seen)
        again = await system.start(Probe, name="it")
        actual["k4 re-register"] = str(system.whereis("it") is again).lower()
        log: list[object] = []
        receiver = await system.start(lambda: Probe(log))
        for number in range(100):
            receiver.info_nowait(number)
        await trio.testing.wait_all_tasks_blocked()
        actual["k4 fifo"] = "fifo" if log == list(range(100)) else "reordered"
    assert recorded("k4 ") == actual
