"""The recorded outcomes g6 to g9 of OTP's gen_server, and y1 of sys, written as Erlang does.

Where our answer differs on purpose, ``DEPARTURES`` says so with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import trio

from actorllama.actors import (
    Caller,
    Context,
    Crash,
    Exit,
    ExitReason,
    IdleTimeout,
    InitOutcome,
    Killed,
    NoProcess,
    NoReply,
    Normal,
    Outcome,
    Ready,
    Ref,
    Reply,
    Server,
    Shutdown,
    Stop,
    StopReply,
    System,
    get_state,
    open_system,
    replace_state,
    resume,
    statistics,
    suspend,
)
from actorllama.errors import ActorExited, CallingSelf, CallTimeout

Recorded = Callable[[str], dict[str, str]]

DEPARTURES = {
    # A parent's shutdown always runs terminate, as if every server trapped exits (rule G14).
    "g7 trap=false {parent,shutdown}": "{[{terminate,shutdown}],shutdown}",
    "g7 trap=false {parent,normal}": "{[{terminate,normal}],normal}",
    "g7 trap=false {parent,boom}": "{[{terminate,boom}],boom}",
}


class Term(Exception):
    """An Erlang term as an abnormal reason."""


def show(reason: object) -> str:
    match reason:
        case Normal():
            return "normal"
        case Shutdown(None):
            return "shutdown"
        case Shutdown(term):
            return f"{{shutdown,{term}}}"
        case Killed():
            return "killed"
        case NoProcess():
            return "noproc"
        case Crash(Term() as exc):
            return str(exc)
        case Crash(exc):
            return f"{{{exc},stack}}"
        case _:
            return str(reason)


REASONS: dict[str, ExitReason] = {
    "normal": Normal(),
    "shutdown": Shutdown(),
    "boom": Crash(Term("boom")),
    "kill": Killed(),
}


class Probe(Server[str, str, object]):
    """Writes down what it handles; a few words make it do something."""

    def __init__(self, log: list[str], *, continues: bool = False) -> None:
        self.log = log
        self.continues = continues
        self.n = 0

    async def init(self, ctx: Context) -> InitOutcome:
        self.log.append("{init,pid}")
        if not self.continues:
            return Ready()
        ctx.ref.info_nowait("early")
        return Ready(continue_with="first")

    async def handle_continue(self, term: object) -> Outcome:
        self.log.append(f"{{continue,{term}}}")
        return NoReply()

    async def handle_call(self, message: str, caller: Caller) -> Outcome:
        self.log.append(f"{{call,{message}}}")
        match message:
            case "raise":
                raise RuntimeError("oops")
            case "stop":
                return StopReply(Normal(), "ok")
            case "self":
                with pytest.raises(CallingSelf):
                    await self.ctx.ref.call("again")
                return Reply("calling_self")
            case "sleep":
                await trio.sleep(1.0)
            case _:
                pass
        return Reply(message)

    async def handle_cast(self, message: str) -> Outcome:
        self.log.append(f"{{cast,{message}}}")
        match message:
            case "raise":
                raise RuntimeError("oops")
            case "idle":
                self.log.clear()
                return NoReply(idle_timeout_s=0.02)
            case "show n":
                self.log.append(f"n={self.n}")
            case _:
                pass
        return NoReply()

    async def handle_info(self, message: object) -> Outcome:
        word = "timeout" if isinstance(message, IdleTimeout) else str(message)
        if not isinstance(message, Exit):
            self.log.append(f"{{info,{word}}}")
        return NoReply()

    async def terminate(self, reason: ExitReason) -> None:
        self.log.append(f"{{terminate,{show(reason)}}}")


class TrappingProbe(Probe):
    trap_exits = True


class Parent(Probe):
    """Starts one linked child and sends it exit signals, as its parent."""

    trap_exits = True

    def __init__(self, child: Callable[[], Probe]) -> None:
        super().__init__([])
        self.child = child

    async def handle_call(self, message: str, caller: Caller) -> Outcome:
        if message == "start":
            self.ref = await self.ctx.start(self.child)
            return Reply(self.ref)
        self.ctx.exit(self.ref, REASONS[message])
        return Reply()


def tagged(name: str, log: list[str]) -> str:
    return f"[{','.join(f'{{{name},{entry}}}' for entry in log)}]"


async def test_g6_a_continuation_precedes_whatever_is_queued(recorded: Recorded) -> None:
    log: list[str] = []
    async with open_system() as system:
        ref = await system.start(lambda: Probe(log, continues=True))
        ref.cast_nowait("c1")
        await ref.cast("c2")
        await trio.testing.wait_all_tasks_blocked()
        actual = {"g6 continue precedes queued": tagged("g6", log)}
    assert recorded("g6 ") == actual


async def after_signal(system: System, how: str, word: str, *, traps: bool) -> str:
    log: list[str] = []
    parent = await system.start(lambda: Parent(lambda: TrappingProbe(log) if traps else Probe(log)))
    child = await parent.call("start")
    assert isinstance(child, Ref)
    log.clear()
    if how == "parent":
        await parent.call(word)
    else:
        system.send_exit(child, REASONS[word])
    await trio.testing.wait_all_tasks_blocked()
    end = "alive" if child.exit_reason is None else show(child.exit_reason)
    return f"{{[{','.join(log)}],{end}}}"


async def test_g7_terminate_runs_for_every_end_but_a_kill_and_an_exit_signal(recorded: Recorded) -> None:
    actual: dict[str, str] = {}
    async with open_system() as system:
        for traps in (False, True):
            for how, word in (
                ("parent", "shutdown"),
                ("parent", "normal"),
                ("parent", "boom"),
                ("exit", "kill"),
                ("exit", "shutdown"),
            ):
                label = f"g7 trap={str(traps).lower()} {{{how},{word}}}"
                actual[label] = await after_signal(system, how, word, traps=traps)
        for label, word in (("g7 callback raises", "raise"), ("g7 stop normal", "stop")):
            log: list[str] = []
            ref = await system.start(partial(Probe, log))
            monitor = system.monitor(ref)
            await ref.cast(word) if word == "raise" else await ref.call(word)
            reason = show((await monitor.wait()).reason)
            actual[label] = f"{{[{log[-1]}],{reason}}}"
    assert recorded("g7 ") | DEPARTURES == actual


async def test_g8_idle_timeouts_and_stop(recorded: Recorded, autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    async with open_system() as system:
        ref = await system.start(lambda: Probe(log))
        await ref.cast("idle")
        await trio.sleep(0.1)
        actual = {"g8 idle timeout": tagged("g8", log)}
        await ref.cast("idle")
        await ref.cast("poke")
        await trio.sleep(0.1)
        actual["g8 timeout cancelled by msg"] = tagged("g8", log)
        log.clear()
        await ref.stop()
        actual["g8 stop/1"] = "ok"
        actual["g8 events"] = tagged("g8", log)
        with pytest.raises(ActorExited) as caught:
            await ref.stop()
        actual["g8 stop dead"] = f"{{exit,{show(caught.value.reason)}}}"
        busy = await system.start(lambda: Probe([]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ignore_exit, busy)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(CallTimeout):
                await busy.stop(timeout_s=0.05)
        actual["g8 stop timeout"] = "{exit,timeout}"
        await trio.sleep(2)
        assert busy.exit_reason == Normal()
    assert recorded("g8 ") == actual


async def ignore_exit(ref: Ref) -> None:
    assert await ref.call("sleep") == "sleep"


class Late(Probe):
    """Answers when its caller has gone."""

    async def handle_call(self, message: str, caller: Caller) -> Outcome:
        if message == "late":
            await trio.sleep(0.2)
            caller.reply("nobody hears this")
            return NoReply()
        return await super().handle_call(message, caller)


class Watcher(Probe):
    """Watches a target and writes down what comes from it."""

    def __init__(self, log: list[str], target: Callable[[], Ref]) -> None:
        super().__init__(log)
        self.target = target

    async def init(self, ctx: Context) -> InitOutcome:
        ctx.monitor(self.target())
        return Ready()

    async def handle_info(self, message: object) -> Outcome:
        self.log.append("DOWN" if type(message).__name__ == "Down" else str(message))
        return NoReply()


class Sender(Probe):
    """Sends two notices, then ends."""

    def __init__(self, receiver: list[Ref]) -> None:
        super().__init__([])
        self.receiver = receiver

    async def handle_cast(self, message: str) -> Outcome:
        self.receiver[0].info_nowait("m1")
        self.receiver[0].info_nowait("m2")
        return Stop(Crash(Term("bye")))


async def test_g9_who_hears_what_when_somebody_dies(
    recorded: Recorded, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_system() as system:
        ref = await system.start(lambda: Late([]))
        with pytest.raises(CallTimeout):
            await ref.call("late", timeout_s=0.1)
        await trio.sleep(0.2)
        actual = {"g9 reply to dead caller": "ok", "g9 server alive": f"{{ok,{await ref.call('ok')}}}"}
        actual["g9 call self"] = str(await ref.call("self"))

        receivers: list[Ref] = []
        log: list[str] = []
        sender = await system.start(lambda: Sender(receivers))
        receivers.append(await system.start(lambda: Watcher(log, lambda: sender)))
        log.clear()
        await sender.cast("go")
        await trio.testing.wait_all_tasks_blocked()
        actual["g9 messages precede DOWN"] = str(log).replace("'", "").replace(" ", "")

        results: list[str] = []

        async def ask(target: Ref) -> None:
            with pytest.raises(ActorExited) as caught:
                await target.call("sleep")
            results.append(f"{{kc,{show(caught.value.reason)}}}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, ref)
            await trio.testing.wait_all_tasks_blocked()
            system.kill(ref, why="test")
        actual["g9 pending caller when server killed"] = f"[{results[0]}]"
        ref = await system.start(lambda: Probe([]))
        await ref.cast("raise")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(ActorExited) as caught:
            await ref.call("x")
        actual["g9 cast handler raises: next call"] = show(caught.value.reason)
    expected = recorded("g9 ")
    expected["g9 messages precede DOWN"] = "[m1,m2,DOWN]"  # the notice itself, without its fields
    expected["g9 cast handler raises: next call"] = expected.pop("g9 cast handler raises").split(": ")[1]
    assert expected == actual


async def test_y1_an_actor_can_be_looked_into_even_while_it_is_suspended(
    recorded: Recorded, autojump_clock: trio.testing.MockClock
) -> None:
    log: list[str] = []
    async with open_system() as system:
        ref = await system.start(lambda: Probe(log))
        log.clear()
        await suspend(ref)
        await ref.cast("c1")
        with pytest.raises(CallTimeout):
            await ref.call("q", timeout_s=0.05)
        actual = {"y1 call while suspended": "timeout"}
        state = await get_state(ref)
        actual["y1 get_state while suspended works"] = str(isinstance(state, dict)).lower()
        actual["y1 nothing handled"] = str(log)
        await resume(ref)
        await trio.testing.wait_all_tasks_blocked()
        actual["y1 after resume"] = tagged("y", log)

        replaced = {"log": log, "continues": False, "n": 1}
        await replace_state(ref, lambda _state: replaced)
        await ref.cast("show n")
        await trio.testing.wait_all_tasks_blocked()
        actual["y1 replace_state"] = log[-1].removeprefix("n=")

        counted = await system.start(lambda: Probe([]))
        await counted.call("s")
        await counted.cast("s2")
        counts = await statistics(counted)
        actual["y1 statistics"] = f"[{{messages_in,{counts.n_in}}},{{messages_out,{counts.n_out}}}]"

        def fail(_state: object) -> object:
            raise Term("zz")

        with pytest.raises(Term, match="zz"):
            await replace_state(ref, fail)
        assert await get_state(ref) == replaced
        actual["y1 alive"] = str(ref.is_alive).lower()
        log.clear()
        await ref.call("s")
        await ref.cast("s2")
        await ref.stop(Shutdown("y"))
        assert ref.exit_reason is not None
        actual["y1 sys:terminate"] = show(ref.exit_reason).replace("{", "{").strip()
        actual["y1 terminate cb"] = tagged("y", log)
    expected = recorded("y1 ")
    del expected[
        "y1 replace_state raising fun"
    ]  # the exception itself is raised in the asker, as shown above
    assert expected == actual
