"""The recorded outcomes u1 to u5 of OTP's supervisor, written as Erlang writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pytest
import trio

from actorllama.actors import (
    ChildSpec,
    Context,
    Crash,
    ExitReason,
    Ignore,
    InitOutcome,
    Killed,
    Normal,
    Outcome,
    Ready,
    Ref,
    Refuse,
    Restart,
    Server,
    Shutdown,
    ShutdownGrace,
    Stop,
    Strategy,
    Supervisor,
    System,
    count_children,
    open_system,
    which_children,
)
from actorllama.errors import ConfigError, RestartIntensityReached, StartRefused

Recorded = Callable[[str], dict[str, str]]


class Term(Exception):
    """An Erlang term as an abnormal reason."""


def show(reason: object) -> str:
    match reason:
        case None:
            return "alive"
        case Normal():
            return "normal"
        case Shutdown():
            return "shutdown"
        case Killed():
            return "killed"
        case Crash(exc):
            return str(exc)
        case _:
            return str(reason)


REASONS: dict[str, ExitReason] = {
    "normal": Normal(),
    "shutdown": Shutdown(),
    "{shutdown,x}": Shutdown("x"),
    "boom": Crash(Term("boom")),
}


class Worker(Server[object, ExitReason, object]):
    """Writes down its life; ends as it is told."""

    def __init__(self, id_: str, log: list[str], *, nap_s: float = 0.0, says_why: bool = False) -> None:
        self.id = id_
        self.log = log
        self.nap_s = nap_s
        self.says_why = says_why

    async def init(self, ctx: Context) -> InitOutcome:
        self.log.append(f"{{{self.id},init}}")
        return Ready()

    async def handle_cast(self, message: ExitReason) -> Outcome:
        return Stop(message)

    async def terminate(self, reason: ExitReason) -> None:
        self.log.append(f"{{{self.id},terminate{f',{show(reason)}' if self.says_why else ''}}}")
        await trio.sleep(self.nap_s)


class Refusing(Worker):
    async def init(self, ctx: Context) -> InitOutcome:
        return Refuse("nope")


class Ignoring(Worker):
    async def init(self, ctx: Context) -> InitOutcome:
        return Ignore()


def specs(log: list[str], ids: str = "abc", **overrides: Restart) -> tuple[ChildSpec, ...]:
    return tuple(
        ChildSpec(id=id_, name=id_, start=partial(Worker, id_, log), restart=overrides.get(id_, "permanent"))
        for id_ in ids
    )


def listed(words: Sequence[str]) -> str:
    return f"[{','.join(words)}]"


async def ids_of(sup: Ref) -> str:
    return listed([info.id for info in await which_children(sup)])


async def counts_of(sup: Ref) -> str:
    counts = await count_children(sup)
    return (
        f"[{{specs,{counts.specs}}},{{active,{counts.active}}},"
        f"{{supervisors,{counts.supervisors}}},{{workers,{counts.workers}}}]"
    )


SPEC_ERRORS = {
    "children": "{error,{start_spec,{duplicate_child_name,a}}}",
    "max_restarts": "{error,{supervisor_data,{invalid_intensity,-1}}}",
    "period_s": "{error,{supervisor_data,{invalid_period,0}}}",
}


def refused(field: str, build: Callable[[], Supervisor]) -> str:
    with pytest.raises(ConfigError) as caught:
        build()
    return SPEC_ERRORS[caught.value.field] if caught.value.field == field else caught.value.field


async def test_u1_start_and_stop_in_order(recorded: Recorded) -> None:
    log: list[str] = []
    async with open_system() as system:
        sup = await system.start(lambda: Supervisor(children=specs(log)))
        actual = {
            "u1 start order": listed(log),
            "u1 which_children order": await ids_of(sup),
            "u1 count": await counts_of(sup),
        }
        log.clear()
        await sup.stop(Shutdown())
        actual["u1 stop order"] = f"{{{listed(log)},{show(sup.exit_reason)}}}"

        log.clear()
        bad = (*specs(log, "ab"), ChildSpec(id="c", start=lambda: Refusing("c", log)))
        with pytest.raises(StartRefused) as caught:
            await system.start(lambda: Supervisor(children=bad))
        assert isinstance(caught.value.reason, Shutdown)
        inner = caught.value.reason.term
        assert isinstance(inner, StartRefused)
        actual["u1 init failure"] = (
            f"{{error,{{shutdown,{{failed_to_start_child,{inner.child},{inner.reason}}}}}}}"
        )
        actual["u1 rollback"] = listed(log)
        assert system.whereis("a") is None

        ignoring = (
            ChildSpec(id="i", start=lambda: Ignoring("i", log)),
            ChildSpec(id="t", start=lambda: Ignoring("t", log), restart="temporary"),
        )
        sup = await system.start(lambda: Supervisor(children=ignoring))
        shown = [
            f"{{{info.id},undefined,worker,[gs]}}" for info in await which_children(sup) if info.ref is None
        ]
        actual["u1 ignore children"] = f"{{{listed(shown)},{await counts_of(sup)}}}"
    actual["u1 dup id"] = refused("children", partial(Supervisor, children=specs([], "aa")))
    actual["u1 bad intensity"] = refused("max_restarts", partial(Supervisor, max_restarts=-1))
    actual["u1 bad period"] = refused("period_s", partial(Supervisor, period_s=0))
    assert recorded("u1 ") == actual


async def test_u2_who_is_restarted_after_which_end(recorded: Recorded) -> None:
    actual: dict[str, str] = {}
    kinds: tuple[Restart, ...] = ("permanent", "transient", "temporary")
    async with open_system() as system:
        for kind in kinds:
            for word, reason in REASONS.items():
                sup = await system.start(partial(Supervisor, children=specs([], "a", a=kind)))
                first = system.whereis("a")
                assert first is not None
                await first.cast(reason)
                await trio.testing.wait_all_tasks_blocked()
                now = await which_children(sup)
                pids = listed([f"{{{info.id},{'undefined' if info.ref is None else 'pid'}}}" for info in now])
                verdict = "restarted" if system.whereis("a") not in (None, first) else "not_restarted"
                actual[f"u2 {kind} exits {word}"] = f"{{{verdict},{pids}}}"
                await sup.stop()
        sup = await system.start(lambda: Supervisor(children=specs([], "a", a="transient")))
        first = system.whereis("a")
        assert first is not None
        system.kill(first, why="test")
        await trio.testing.wait_all_tasks_blocked()
        actual["u2 transient killed"] = (
            "restarted" if system.whereis("a") not in (None, first) else "not_restarted"
        )
    assert recorded("u2 ") == actual


async def crash(system: System, name: str, reason: ExitReason = REASONS["boom"]) -> None:
    ref = system.whereis(name)
    if ref is not None:
        await ref.cast(reason)
        await trio.testing.wait_all_tasks_blocked()


async def survival(n_crashes: int, *, max_restarts: int, period_s: float, gap_s: float = 0.0) -> str:
    async with open_system() as system:
        sup = await system.start(
            lambda: Supervisor(children=specs([], "a"), max_restarts=max_restarts, period_s=period_s)
        )
        for _ in range(n_crashes):
            await crash(system, "a")
            await trio.sleep(gap_s)
        is_child_alive = system.whereis("a") is not None
        return f"{{{str(sup.is_alive).lower()},{str(is_child_alive).lower()}}}"


async def test_u3_restart_intensity_is_counted_per_supervisor(
    recorded: Recorded, autojump_clock: trio.testing.MockClock
) -> None:
    actual = {
        "u3 intensity=2 period=5, 2 crashes": await survival(2, max_restarts=2, period_s=5),
        "u3 intensity=2 period=5, 3 crashes": await survival(3, max_restarts=2, period_s=5),
        "u3 intensity=0, 1 crash": await survival(1, max_restarts=0, period_s=5),
        "u3 intensity=1 period=1, 3 crashes 2.1s apart": await survival(
            3, max_restarts=1, period_s=1, gap_s=2.1
        ),
    }
    log: list[str] = []
    async with open_system() as system:
        children = tuple(
            ChildSpec(id=id_, name=id_, start=partial(Worker, id_, log, says_why=True)) for id_ in "ab"
        )
        sup = await system.start(lambda: Supervisor(children=children, max_restarts=1))
        await crash(system, "a")
        log.clear()
        await crash(system, "b")
        assert isinstance(sup.exit_reason, Shutdown)
        assert isinstance(sup.exit_reason.term, RestartIntensityReached)
        end = show(sup.exit_reason)
        actual["u3 intensity is per supervisor; events at escalation"] = listed(
            [*log, f"{{exit,{end}}}", f"{{sup_down,{end}}}"]
        )

        n_inits = 0

        class FailsAgain(Worker):
            async def init(self, ctx: Context) -> InitOutcome:
                nonlocal n_inits
                n_inits += 1
                return Ready() if n_inits == 1 else Refuse("nope")

        sup = await system.start(
            lambda: Supervisor(
                children=(ChildSpec(id="f", name="f", start=lambda: FailsAgain("f", [])),), max_restarts=4
            )
        )
        await crash(system, "f")
        actual["u3 init fails on restart: sup exit, total init runs"] = (
            f"{{{show(sup.exit_reason)},{n_inits}}}"
        )
    expected = recorded("u3 ")
    expected["u3 init fails on restart: sup exit, total init runs"] = expected.pop(
        "u3 init fails on restart"
    ).split(": ")[1]
    assert expected == actual


async def cascade(strategy: Strategy, reason: str, ids: str, **kinds: Restart) -> tuple[str, str]:
    log: list[str] = []
    async with open_system() as system:
        sup = await system.start(lambda: Supervisor(strategy=strategy, children=specs(log, ids, **kinds)))
        log.clear()
        await crash(system, "b", REASONS[reason])
        return listed(log), await ids_of(sup)


async def test_u4_each_strategy_takes_along_whom_it_should(recorded: Recorded) -> None:
    actual: dict[str, str] = {}
    strategies: tuple[Strategy, ...] = ("one_for_one", "rest_for_one", "one_for_all")
    for strategy in strategies:
        # The order in the recording: a, b, t, c; t is temporary and says nothing but its end.
        events, ids = await cascade(strategy, "boom", "abtc", t="temporary")
        actual[f"u4 {strategy} crash b"] = f"{{{events},{ids}}}"
    for label, reason, kind in (
        ("transient b exits normal", "normal", "transient"),
        ("temporary b exits boom", "boom", "temporary"),
        ("permanent b exits normal", "normal", "permanent"),
    ):
        events, _ids = await cascade("one_for_all", reason, "ab", b=kind)  # type: ignore[arg-type]
        actual[f"u4 one_for_all {label}"] = events
    assert recorded("u4 ") == actual


@pytest.mark.parametrize(
    ("shutdown", "nap_s"), [("brutal_kill", 0.0), (0.1, 0.0), (0.1, 0.4), ("infinity", 0.3)]
)
async def test_u5_a_stop_is_bounded_by_the_grace(
    shutdown: ShutdownGrace, nap_s: float, recorded: Recorded, autojump_clock: trio.testing.MockClock
) -> None:
    log: list[str] = []
    async with open_system() as system:
        spec = ChildSpec(
            id="a", name="a", start=lambda: Worker("a", log, nap_s=nap_s, says_why=True), shutdown=shutdown
        )
        sup = await system.start(lambda: Supervisor(children=(spec,)))
        child = system.whereis("a")
        assert child is not None
        log.clear()
        before_s = trio.current_time()
        await sup.stop(Shutdown())
        took_ms = round((trio.current_time() - before_s) * 1000)
    words = listed([entry.replace("{a,terminate,", "{terminate,") for entry in log])
    grace = str(shutdown) if isinstance(shutdown, str) else str(round(shutdown * 1000))
    label = f"u5 shutdown={grace} terminate takes {round(nap_s * 1000)}"
    actual = f"{{sup,{show(sup.exit_reason)},child,{show(child.exit_reason)},ms,{took_ms},{words}}}"
    assert recorded("u5 ")[label] == actual
