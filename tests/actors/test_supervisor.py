"""What the recorded outcomes do not show of supervisors: back-off, retries, causes, events."""

from __future__ import annotations

import math

import pytest
import trio
from attrs import evolve

from actorllama.actors import (
    Backoff,
    Caller,
    ChildSpec,
    Context,
    Crash,
    DynamicSupervisor,
    ExitReason,
    Ignore,
    InitOutcome,
    Killed,
    NoReply,
    Normal,
    Outcome,
    Ready,
    Ref,
    Refuse,
    Reply,
    Server,
    Shutdown,
    Stop,
    Strategy,
    Supervisor,
    delete_child,
    open_system,
    restart_child,
    start_child,
    terminate_child,
    which_children,
)
from actorllama.actors.events import (
    CHILD_FAILED,
    CHILD_ODD_EXIT,
    CHILD_RESTART,
    GAVE_UP,
    INFO_UNHANDLED,
)
from actorllama.errors import (
    ChildConflict,
    ChildNotFound,
    ConfigError,
    RestartIntensityReached,
    TooManyChildren,
)
from actorllama.telemetry import StrictBus, record

Clock = trio.testing.MockClock


class Worker(Server[str, str, object]):
    """Starts as often as it is allowed to; ends as it is told."""

    def __init__(self, name: str, log: list[str], inits: list[InitOutcome] | None = None) -> None:
        self.name = name
        self.log = log
        self.inits = [] if inits is None else inits

    async def init(self, ctx: Context) -> InitOutcome:
        outcome = self.inits.pop(0) if self.inits else Ready()
        self.log.append(f"{self.name} {type(outcome).__name__} at {trio.current_time():g}")
        return outcome

    async def handle_cast(self, message: str) -> Outcome:
        match message:
            case "crash":
                raise ValueError(self.name)
            case "stop":
                return Stop(Normal())
            case _:
                pass
        return NoReply()

    async def handle_call(self, message: str, caller: Caller) -> Outcome:
        return Reply(message)

    async def terminate(self, reason: ExitReason) -> None:
        self.log.append(f"{self.name} down")
        if self.name == "rude":
            raise ValueError("in terminate")


def child(name: str, log: list[str], *inits: InitOutcome) -> ChildSpec:
    outcomes = list(inits)
    return ChildSpec(id=name, name=name, start=lambda: Worker(name, log, outcomes))


REFUSE = Refuse("not yet")


async def crash(ref: Ref | None) -> None:
    assert ref is not None
    await ref.cast("crash")
    await trio.testing.wait_all_tasks_blocked()


async def test_back_off_delays_all_restarts_but_the_first(autojump_clock: Clock) -> None:
    log: list[str] = []
    spec = child("a", log, Ready(), REFUSE, REFUSE, REFUSE, Ready())
    backoff = Backoff(first_s=1, factor=2, max_s=3)
    async with open_system() as system:
        await system.start(
            lambda: Supervisor(children=(spec,), max_restarts=10, period_s=100, backoff=backoff)
        )
        await crash(system.whereis("a"))
        await trio.sleep(50)
    assert log == [
        *("a Ready at 0", "a down", "a Refuse at 0", "a Refuse at 1", "a Refuse at 3", "a Ready at 6"),
        "a down",
    ]


async def test_a_delayed_cascade_stops_the_siblings_at_once(autojump_clock: Clock) -> None:
    log: list[str] = []
    specs = tuple(child(name, log) for name in "ab")
    async with open_system() as system:
        await system.start(
            lambda: Supervisor(
                children=specs, strategy="one_for_all", max_restarts=9, backoff=Backoff(first_s=1)
            )
        )
        await crash(system.whereis("a"))
        await trio.sleep(0.5)
        log.clear()
        await crash(system.whereis("a"))
        assert log == ["a down", "b down"]
        await trio.sleep(2)
        assert log[2:] == ["a Ready at 1.5", "b Ready at 1.5"]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (
            "one_for_all",
            ["b down", "c down", "a down", "a", "b", "c Refuse", "b down", "a down", "a", "b", "c"],
        ),
        ("rest_for_one", ["b down", "c down", "b", "c Refuse", "c"]),
    ],
)
async def test_a_cascade_in_which_a_sibling_fails_to_start_is_tried_again(
    strategy: Strategy, expected: list[str], autojump_clock: Clock
) -> None:
    log: list[str] = []
    specs = (child("a", log), child("b", log), child("c", log, Ready(), REFUSE))
    bus = StrictBus()
    with record(bus, ("actors", "child")) as told:
        async with open_system(bus=bus) as system:
            sup = await system.start(lambda: Supervisor(children=specs, strategy=strategy, max_restarts=2))
            log.clear()
            await crash(system.whereis("b"))
            assert [line.replace(" Ready", "").replace(" at 0", "") for line in log] == expected
            assert [info.state for info in await which_children(sup)] == ["running"] * 3
    assert [fact.event for fact in told.facts] == [CHILD_RESTART, CHILD_FAILED, CHILD_RESTART]


async def test_giving_up_names_the_child_and_its_crash(autojump_clock: Clock) -> None:
    bus = StrictBus()
    with record(bus, GAVE_UP) as told:
        async with open_system(bus=bus) as system:
            sup = await system.start(lambda: Supervisor(children=(child("a", []),), max_restarts=0))
            await crash(system.whereis("a"))
            assert isinstance(sup.exit_reason, Shutdown)
            error = sup.exit_reason.term
            assert isinstance(error, RestartIntensityReached)
            assert error.child == "a"
            assert isinstance(error.__cause__, ValueError)
            killed = await system.start(lambda: Supervisor(children=(child("b", []),), max_restarts=0))
            victim = system.whereis("b")
            assert victim is not None
            system.kill(victim, why="test")
            await trio.testing.wait_all_tasks_blocked()
            assert not killed.is_alive
    assert [fact.metadata["child"] for fact in told.facts] == ["a", "b"]


async def test_a_child_that_does_not_stop_as_asked_is_told(autojump_clock: Clock) -> None:
    bus = StrictBus()
    with record(bus, CHILD_ODD_EXIT) as told:
        async with open_system(bus=bus) as system:
            brutal = ChildSpec(id="brutal", start=lambda: Worker("brutal", []), shutdown="brutal_kill")
            await system.start(lambda: Supervisor(children=(child("rude", []), child("a", []), brutal)))
    [fact] = told.facts
    assert fact.metadata["child"] == "rude"
    assert isinstance(fact.metadata["reason"], Crash)


async def test_a_stopped_child_can_be_started_by_hand_and_a_failure_leaves_it_stopped() -> None:
    async with open_system() as system:
        sup = await system.start(lambda: Supervisor(children=(child("a", [], Ready(), REFUSE),)))
        await terminate_child(sup, "a")
        with pytest.raises(Exception, match="not yet"):
            await restart_child(sup, "a")
        [info] = await which_children(sup)
        assert (info.state, info.ref) == ("stopped", None)
        ref = await restart_child(sup, "a")
        assert system.whereis("a") is ref


async def test_strangers_do_not_move_a_supervisor() -> None:
    bus = StrictBus()
    with record(bus, INFO_UNHANDLED) as told:
        async with open_system(bus=bus) as system:
            sup = await system.start(Supervisor)
            with pytest.raises(TypeError, match="supervisor"):
                await sup.call("what?")
            await sup.cast("what?")
            sup.info_nowait("what?")
            system.send_exit(sup, Shutdown("from nowhere"))
            assert await which_children(sup) == ()
    assert len(told.facts) == 3


async def test_a_dynamic_supervisor_is_bounded_and_forgets_who_is_not_restarted(
    autojump_clock: Clock,
) -> None:
    log: list[str] = []
    async with open_system() as system:
        sup = await system.start(lambda: DynamicSupervisor(max_children=1, max_restarts=5))
        ref = await start_child(sup, child("a", log, Ready(), Ignore()))
        with pytest.raises(TooManyChildren) as caught:
            await start_child(sup, child("b", log))
        assert (caught.value.n_children, caught.value.max_children) == (1, 1)
        await crash(ref)
        assert await which_children(sup) == ()
        ref = await start_child(sup, child("c", log, Ignore()))
        assert (ref.is_alive, await which_children(sup)) == (False, ())
        temporary = ChildSpec(id="t", start=lambda: Worker("t", log), restart="temporary")
        await crash(await start_child(sup, temporary))
        assert await which_children(sup) == ()
        failing = await start_child(sup, child("f", log, Ready(), REFUSE))
        await crash(failing)
        [info] = await which_children(sup)
        assert info.state == "running"


def test_flags_are_checked_before_anything_starts() -> None:
    with pytest.raises(ConfigError):
        DynamicSupervisor(max_children=-1)
    with pytest.raises(ConfigError):
        Supervisor(strategy="all_for_one")  # type: ignore[arg-type]
    with pytest.raises(ConfigError):
        Supervisor(auto_shutdown="sometimes")  # type: ignore[arg-type]
    good = child("a", [])
    for wrong in (
        {"restart": "sometimes"},
        {"type": "worker bee"},
        {"overflow": "explode"},
        {"mailbox_capacity": 0},
        {"init_timeout_s": 0},
        {"shutdown": -1.0},
        {"shutdown": "gently"},
    ):
        with pytest.raises(ConfigError):
            evolve(good, **wrong)
    for bad in ({"first_s": -1.0}, {"factor": 0.5}, {"first_s": 1.0, "max_s": 0.5}):
        with pytest.raises(ConfigError):
            Backoff(**bad)


async def test_an_exit_signal_of_the_parent_is_a_polite_stop_and_a_kill_is_a_kill() -> None:
    async with open_system() as system:
        refs = [await system.start(lambda: Worker("a", [])) for _ in range(2)]
        system.send_exit(refs[0], Killed("by signal"))
        assert refs[0].exit_reason == Killed("by signal")
        await refs[1].stop()
        assert refs[1].exit_reason == Normal()


async def test_a_restarted_supervisor_waits_for_the_names_of_its_orphans(autojump_clock: Clock) -> None:
    class Slow(Worker):
        async def terminate(self, reason: ExitReason) -> None:
            await trio.sleep(1)

    named = ChildSpec(id="w", name="w", start=lambda: Slow("w", []))
    inner = ChildSpec(
        id="inner", name="inner", start=lambda: Supervisor(children=(named,)), type="supervisor"
    )
    async with open_system() as system:
        await system.start(lambda: Supervisor(children=(inner,)))
        first, nested = system.whereis("w"), system.whereis("inner")
        assert nested is not None
        system.kill(nested, why="test")
        await trio.testing.wait_all_tasks_blocked()
        assert system.whereis("w") is first
        await trio.sleep(2)
        again = system.whereis("w")
        assert again is not None
        assert again is not first


async def test_requests_that_do_not_fit_the_supervisor_are_refused() -> None:
    async with open_system() as system:
        ordered = await system.start(Supervisor)
        dynamic = await system.start(DynamicSupervisor)
        with pytest.raises(ChildConflict, match="by_id_only"):
            await terminate_child(ordered, dynamic)
        with pytest.raises(ChildConflict, match="by_ref_only"):
            await delete_child(dynamic, "a")
        for supervisor in (ordered, dynamic):
            significant = ChildSpec(
                id="s", start=lambda: Worker("s", []), restart="temporary", significant=True
            )
            if supervisor is ordered:
                with pytest.raises(ConfigError):
                    await start_child(supervisor, significant)
        ignored = ChildSpec(id="i", start=lambda: Worker("i", [], [Ignore()]), restart="temporary")
        assert not (await start_child(ordered, ignored)).is_alive
        assert await which_children(ordered) == ()
        assert ordered.is_alive
        with pytest.raises(ChildNotFound):
            await delete_child(ordered, "a")


def test_the_grace_is_that_of_the_type_unless_it_is_given() -> None:
    worker = child("a", [])
    assert [
        worker.grace_s,
        evolve(worker, type="supervisor").grace_s,
        evolve(worker, shutdown="infinity").grace_s,
        evolve(worker, shutdown="brutal_kill").grace_s,
        evolve(worker, shutdown=2.5).grace_s,
    ] == [5.0, math.inf, math.inf, 0.0, 2.5]
