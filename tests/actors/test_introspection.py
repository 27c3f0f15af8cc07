"""Looking in: trace, log ring, hooks, status, the tree; and the registries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from actorllama.actors import (
    Backoff,
    Caller,
    ChildSpec,
    Context,
    KeyChange,
    NoReply,
    Outcome,
    Ready,
    Ref,
    Refuse,
    Reply,
    Server,
    Supervisor,
    SysEvent,
    Via,
    format_tree,
    get_log,
    get_state,
    get_status,
    install_hook,
    keep_log,
    open_system,
    remove_hook,
    replace_state,
    statistics,
    suspend,
    trace,
)
from actorllama.actors.events import INFO_UNHANDLED, TRACE
from actorllama.errors import ActorExited, ActorNotFound, CallingSelf, NameTaken, NotJoined
from actorllama.telemetry import StrictBus, record

Clock = trio.testing.MockClock


class Worker(Server[object, object, object]):
    def __init__(self) -> None:
        self.n = 0

    async def handle_call(self, message: object, caller: Caller) -> Outcome:
        match message:
            case "child":
                return Reply(await self.ctx.start(Worker, name="child"))
            case "raise":
                raise ValueError(message)
            case "self":
                with pytest.raises(CallingSelf):
                    await get_state(self.ctx.ref)
                with pytest.raises(CallingSelf):
                    await self.ctx.ref.stop()
                return Reply()
            case "sleep":
                await trio.sleep(100)
            case _:
                pass
        return Reply(message)

    async def handle_cast(self, message: object) -> Outcome:
        self.n += 1
        return NoReply()


async def test_a_trace_tells_so_many_messages_per_second(autojump_clock: Clock) -> None:
    bus = StrictBus()
    with record(bus, TRACE) as told:
        async with open_system(bus=bus) as system:
            ref = await system.start(Worker)
            await trace(ref, n_per_s=2)
            for _ in range(5):
                await ref.call("x")
            await trio.sleep(1)
            await ref.cast("y")
            await trace(ref, n_per_s=0)
            await ref.call("untold")
    assert [fact.metadata["message"] for fact in told.facts] == ["x", "x", "y"]
    assert [fact.metadata["what"] for fact in told.facts] == ["call", "call", "cast"]


async def test_the_log_ring_keeps_the_last_events() -> None:
    async with open_system() as system:
        ref = await system.start(Worker)
        assert await get_log(ref) == ()
        await keep_log(ref, n_events=2)
        for number in range(4):
            await ref.call(number)
        assert [event.message for event in await get_log(ref)] == [2, 3]
        assert [event.message for event in (await get_status(ref)).log] == [2, 3]
        await keep_log(ref, n_events=0)
        assert await get_log(ref) == ()


async def test_a_hook_that_is_done_or_raises_is_removed_and_kills_nobody() -> None:
    seen: list[object] = []

    def until_done(event: SysEvent) -> object:
        seen.append(event.message)
        return "done"

    def broken(event: SysEvent) -> object:
        seen.append("broken")
        raise ValueError

    async with open_system() as system:
        ref = await system.start(Worker)
        await install_hook(ref, "until_done", until_done)
        await install_hook(ref, "broken", broken)
        for number in range(3):
            await ref.call(number)
        assert seen == [0, "broken"]
        await install_hook(ref, "kept", lambda event: seen.append(event.message))
        await ref.call(3)
        await remove_hook(ref, "kept")
        await ref.call(4)
        assert seen == [0, "broken", 3]


async def test_status_shows_parent_links_and_who_waits(autojump_clock: Clock) -> None:
    async with open_system() as system:
        parent = await system.start(Worker, name="parent")
        child = await parent.call("child")
        assert isinstance(child, Ref)
        status = await get_status(child)
        assert (status.ref, status.parent, status.kind, status.phase) == (child, parent, "Worker", "running")
        assert (status.links, status.n_monitors, status.n_unanswered) == ((), 0, 0)
        assert status.state == {"n": 0}
        assert (await get_status(parent)).parent is None
        await parent.call("self")


async def test_a_state_of_the_wrong_shape_is_refused_and_attributes_that_are_left_out_are_gone() -> None:
    async with open_system() as system:
        ref = await system.start(Worker)
        with pytest.raises(TypeError, match="dict"):
            await replace_state(ref, lambda _state: 5)
        await replace_state(ref, lambda _state: {"m": 1})
        assert await get_state(ref) == {"m": 1}


async def test_looking_into_the_dead_is_an_error() -> None:
    async with open_system() as system:
        ref = await system.start(Worker)
        await ref.stop()
        with pytest.raises(ActorExited):
            await statistics(ref)


async def test_a_server_without_handlers_says_so_and_tells_unhandled_notices() -> None:
    class Bare(Server[object, object, object]):
        async def init(self, ctx: Context) -> Ready:
            return Ready(continue_with="on") if self.continues else Ready()

        continues = False

    class Continuing(Bare):
        continues = True

    bus = StrictBus()
    with record(bus, INFO_UNHANDLED) as told:
        async with open_system(bus=bus) as system:
            ref = await system.start(Bare)
            ref.info_nowait("stray")
            with pytest.raises(ActorExited, match="handle_call"):
                await ref.call("x")
            for start, message in ((Bare, "x"), (Continuing, None)):
                ref = await system.start(start)
                if message is not None:
                    await ref.cast(message)
                await trio.testing.wait_all_tasks_blocked()
                assert "NotImplementedError" in str(ref.exit_reason)
    assert [fact.metadata["message"] for fact in told.facts] == ["str"]


async def test_the_tree_shows_supervisors_children_and_their_condition(autojump_clock: Clock) -> None:
    class Refusing(Worker):
        n_inits = 0

        async def init(self, ctx: Context) -> object:  # type: ignore[override]
            Refusing.n_inits += 1
            return Ready() if Refusing.n_inits == 1 else Refuse("no")

    specs = (
        ChildSpec(id="w", name="w", start=Worker, restart="transient"),
        ChildSpec(id="r", name="r", start=Refusing),
        ChildSpec(id="inner", start=Supervisor, type="supervisor"),
    )
    async with open_system() as system, trio.open_nursery() as nursery:
        await system.start(
            lambda: Supervisor(children=specs, max_restarts=9, backoff=Backoff(first_s=60, max_s=600)),
            name="top",
        )
        lone = await system.start(Worker, name="lone")
        await lone.call("child")
        for name in ("w", "r"):
            ref = system.whereis(name)
            assert ref is not None
            await ref.cast("x")
            with pytest.raises(ActorExited):
                await ref.call("raise")
            await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(61)
        again = system.whereis("w")
        assert again is not None
        nursery.start_soon(again.call, "sleep")
        await trio.testing.wait_all_tasks_blocked()
        again.cast_nowait("queued")
        await suspend(lone)
        top, alone = system.tree()
        worker, refusing, inner = top.children
        assert (worker.id, worker.n_restarts, worker.n_queued, worker.current) == ("w", 1, 1, "str")
        assert (refusing.phase, refusing.pid) == ("restarting", None)
        assert (inner.kind, inner.phase) == ("Supervisor", "running")
        assert (alone.phase, alone.children[0].id) == ("suspended", "child")
        assert alone.age_s > 100
        text = format_tree(system.tree())
        assert text.splitlines()[0].startswith("├─ top#1  Supervisor  running  age=")
        assert "│  ├─ w#" in text
        assert "queued=1  current=str  restarts=1" in text
        assert "r  worker  restarting  restarts=" in text
        nursery.cancel_scope.cancel()


class Listener(Server[object, object, KeyChange]):
    def __init__(self, changes: list[tuple[str, object]]) -> None:
        self.changes = changes

    async def handle_info(self, message: KeyChange) -> Outcome:
        self.changes.append((message.what, message.key))
        return NoReply()


async def test_a_registry_holds_live_actors_under_unique_or_shared_keys() -> None:
    changes: list[tuple[str, object]] = []
    async with open_system() as system:
        first, second = await system.start(Worker), await system.start(Worker)
        unique = system.make_registry()
        listener = await system.start(lambda: Listener(changes))
        unique.listen(listener)
        unique.register("k", first, value=1)
        with pytest.raises(NameTaken):
            unique.register("k", second)
        shared = system.make_registry(keys="duplicate")
        for ref in (first, second):
            shared.register("topic", ref, value=ref.pid)
        with pytest.raises(NameTaken):
            shared.register("topic", first)
        assert shared.dispatch("topic", lambda entry: entry.ref.cast_nowait("x")) == 2
        assert [entry.value for entry in shared.lookup("topic")] == [first.pid, second.pid]
        shared.register("other", first)
        assert (shared.keys_of(first), len(shared)) == (("topic", "other"), 3)
        await first.stop()
        assert (unique.whereis("k"), shared.whereis("topic"), len(shared)) == (None, second, 1)
        unique.unregister("k", first)
        with pytest.raises(ActorNotFound):
            unique.register("k", first)
        shared.unregister("topic", second)
        shared.unregister("topic", second)
        await trio.testing.wait_all_tasks_blocked()
        assert len(shared) == 0
    assert changes == [("register", "k"), ("unregister", "k")]


async def test_a_child_may_be_named_in_another_registry() -> None:
    async with open_system() as system:
        registry = system.make_registry(keys="duplicate")
        from_spec = [await system.start(Worker, name=Via(registry, "pool")) for _ in range(2)]
        assert [entry.ref for entry in registry.lookup("pool")] == from_spec
        unique = system.make_registry()
        await system.start(Worker, name=Via(unique, "one"))
        with pytest.raises(NameTaken):
            await system.start(Worker, name=Via(unique, "one"))


async def test_groups_forget_the_dead_and_list_who_is_where() -> None:
    async with open_system() as system:
        groups = system.make_groups()
        first, second = await system.start(Worker), await system.start(Worker)
        for group, ref in (("g", first), ("g", second), ("h", first), ("g", first)):
            groups.join(group, ref)
        assert groups.members("g") == (first, second, first)
        assert (groups.which_groups(), groups.groups_of(first)) == (("g", "h"), ("g", "h"))
        groups.leave("h", first)
        assert groups.which_groups() == ("g",)
        await first.stop()
        assert groups.members("g") == (second,)
        await second.stop()
        assert groups.which_groups() == ()
        with pytest.raises(ActorNotFound):
            groups.join("g", first)


async def test_y2_groups_count_how_often_a_member_joined(recorded: Callable[[str], dict[str, str]]) -> None:
    async with open_system() as system:
        groups = system.make_groups()
        ref = await system.start(Worker)
        groups.join("g", ref)
        groups.join("g", ref)
        actual = {"y2 double join": str(len(groups.members("g")))}
        groups.leave("g", ref)
        actual["y2 one leave"] = str(len(groups.members("g")))
        await ref.stop()
        actual["y2 after death"] = str(list(groups.members("g")))
        with pytest.raises(NotJoined):
            groups.leave("g", ref)
        actual["y2 leave non member"] = "not_joined"
    assert recorded("y2 ") == actual
