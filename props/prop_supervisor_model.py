"""The reference model of a supervisor says what OTP 25 was seen to do (``data/otp_supervisor.txt``)."""

from __future__ import annotations

from pathlib import Path

import pytest

from props.supervisor_model import ModelSpec, SupervisorModel, Why

RECORDED = dict(
    line.rsplit(": ", 1)
    for line in (Path(__file__).parent / "data" / "otp_supervisor.txt").read_text().splitlines()
)
WHYS: dict[str, Why] = {
    "normal": "normal",
    "shutdown": "shutdown",
    "{shutdown,x}": "shutdown",
    "boom": "crash",
}


def told(events: list[tuple[str, str]]) -> str:
    return "[" + ",".join(f"{{{child},{what}}}" for what, child in events) + "]"


def ids(model: SupervisorModel) -> str:
    return "[" + ",".join(child for child, _ in model.which()) + "]"


def started(*specs: ModelSpec, **options: object) -> SupervisorModel:
    model = SupervisorModel(**options)  # type: ignore[arg-type] # each case names the options that it means
    assert model.start(list(specs)) == "ok"
    return model


def abc() -> list[ModelSpec]:
    return [ModelSpec(id=child) for child in "abc"]


def prop_children_start_left_to_right_and_stop_right_to_left() -> None:
    model = started(*abc())
    assert told(model.events) == RECORDED["u1 start order"]
    assert ids(model) == RECORDED["u1 which_children order"]
    model.events.clear()
    model.shut_down()
    assert "{" + told(model.events) + ",shutdown}" == RECORDED["u1 stop order"]


def prop_a_failed_init_rolls_back() -> None:
    model = SupervisorModel(failing_inits={"c": 1})
    assert model.start(abc()) == "failed_to_start_child c"
    assert "failed_to_start_child,c" in RECORDED["u1 init failure"]
    # the recorded child c raises before it tells of its init
    assert told([event for event in model.events if event != ("init", "c")]) == RECORDED["u1 rollback"]


@pytest.mark.parametrize("why", WHYS)
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def prop_the_restart_matrix_is_otps(restart: str, why: str) -> None:
    model = started(ModelSpec(id="a", restart=restart))  # type: ignore[arg-type] # parametrised
    model.child_exits("a", WHYS[why])
    statuses = {"running": "pid", "stopped": "undefined"}
    which = ",".join(f"{{{child},{statuses[status]}}}" for child, status in model.which())
    restarted = "restarted" if model.events[-1] == ("init", "a") else "not_restarted"
    assert f"{{{restarted},[{which}]}}" == RECORDED[f"u2 {restart} exits {why}"]


def prop_a_killed_transient_child_is_restarted() -> None:
    model = started(ModelSpec(id="a", restart="transient"))
    model.child_exits("a", "killed")
    assert ("restarted" if model.which() == [("a", "running")] else "") == RECORDED["u2 transient killed"]


@pytest.mark.parametrize(
    ("label", "max_restarts", "period_s", "n_crashes", "apart_s"),
    [
        ("intensity=2 period=5, 2 crashes", 2, 5, 2, 0),
        ("intensity=2 period=5, 3 crashes", 2, 5, 3, 0),
        ("intensity=0, 1 crash", 0, 5, 1, 0),
        ("intensity=1 period=1, 3 crashes 2.1s apart", 1, 1, 3, 2.1),
    ],
)
def prop_the_intensity_rule_is_otps(
    label: str, max_restarts: int, period_s: float, n_crashes: int, apart_s: float
) -> None:
    model = started(ModelSpec(id="a"), max_restarts=max_restarts, period_s=period_s)
    for _ in range(n_crashes):
        model.child_exits("a", "crash")
        model.advance(apart_s)
    is_up = str(bool(model.which())).lower()
    assert f"{{{str(model.is_alive).lower()},{is_up}}}" == RECORDED[f"u3 {label}"]


def prop_the_intensity_counts_for_all_children_together() -> None:
    model = started(ModelSpec(id="a"), ModelSpec(id="b"), max_restarts=1)
    model.child_exits("a", "crash")
    model.events.clear()
    model.child_exits("b", "crash")
    assert not model.is_alive
    recorded = RECORDED["u3 intensity is per supervisor; events at escalation"]
    assert recorded.startswith("[{b,terminate,boom},{a,terminate,shutdown}")
    assert told(model.events) == "[{b,terminate},{a,terminate}]"


def prop_failed_restarts_count() -> None:
    model = started(ModelSpec(id="a"), max_restarts=4)
    model.failing_inits["a"] = 100
    model.child_exits("a", "crash")
    n_inits = model.events.count(("init", "a"))
    assert f"{{shutdown,{n_inits}}}" == RECORDED["u3 init fails on restart: sup exit, total init runs"]
    assert not model.is_alive


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one", "one_for_all"])
def prop_the_strategies_are_otps(strategy: str) -> None:
    specs = [
        ModelSpec(id="a"),
        ModelSpec(id="b"),
        ModelSpec(id="t", restart="temporary"),
        ModelSpec(id="c"),
    ]
    model = started(*specs, strategy=strategy)
    model.events.clear()
    model.child_exits("b", "crash")
    assert f"{{{told(model.events)},{ids(model)}}}" == RECORDED[f"u4 {strategy} crash b"]


@pytest.mark.parametrize(
    ("label", "restart", "why"),
    [
        ("transient b exits normal", "transient", "normal"),
        ("temporary b exits boom", "temporary", "crash"),
        ("permanent b exits normal", "permanent", "normal"),
    ],
)
def prop_only_a_child_to_be_restarted_takes_others_along(label: str, restart: str, why: Why) -> None:
    model = started(ModelSpec(id="a"), ModelSpec(id="b", restart=restart), strategy="one_for_all")  # type: ignore[arg-type]
    model.events.clear()
    model.child_exits("b", why)
    assert told(model.events) == RECORDED[f"u4 one_for_all {label}"]


@pytest.mark.parametrize(
    ("label", "auto", "exits"),
    [
        ("any, transient normal", "any_significant", [("a", "transient", "normal")]),
        ("any, transient boom", "any_significant", [("a", "transient", "crash")]),
        ("any, temporary boom", "any_significant", [("a", "temporary", "crash")]),
        ("all, first only", "all_significant", [("a", "transient", "normal"), ("b", "transient", "")]),
        ("all, both", "all_significant", [("a", "transient", "normal"), ("b", "transient", "normal")]),
    ],
)
def prop_auto_shutdown_is_otps(label: str, auto: str, exits: list[tuple[str, str, str]]) -> None:
    significant = [ModelSpec(id=child, restart=restart, significant=True) for child, restart, _ in exits]  # type: ignore[arg-type]
    others = [ModelSpec(id=child) for child in "abc" if child not in {spec.id for spec in significant}]
    if RECORDED[f"u6 {label}"] == "{down,[]}":
        others = []  # recorded with the significant child alone
    model = started(*significant, *others, auto_shutdown=auto)
    model.events.clear()
    for child, _, why in exits:
        if why:
            model.child_exits(child, WHYS.get(why, "crash"))
    if model.is_alive:
        assert RECORDED[f"u6 {label}"] == "alive"
    else:
        ended = {child for child, _, _ in exits}
        stopped = ",".join(
            child for what, child in model.events if what == "terminate" and child not in ended
        )
        assert f"{{down,[{stopped}]}}" == RECORDED[f"u6 {label}"]


def prop_stopping_a_significant_child_by_hand_is_no_reason_to_end() -> None:
    model = started(ModelSpec(id="a", restart="transient", significant=True), auto_shutdown="any_significant")
    model.terminate_child("a")
    assert str(model.is_alive).lower() == RECORDED["u6 manual terminate_child of significant"]


def prop_administration_is_otps() -> None:
    model = started(ModelSpec(id="a"))
    assert "already_started" in RECORDED["u7 start same id running"]
    assert model.start_child(ModelSpec(id="a")) == "already_started"
    assert f"{{error,{model.delete_child('a')}}}" == RECORDED["u7 delete running"]
    assert f"{{error,{model.restart_child('a')}}}" == RECORDED["u7 restart running"]
    assert model.terminate_child("a") == RECORDED["u7 terminate_child"]
    assert model.which() == [("a", "stopped")]
    assert RECORDED["u7 which after terminate"].startswith("[{a,undefined")
    assert f"{{error,{model.start_child(ModelSpec(id='a'))}}}" == RECORDED["u7 start same id stopped"]
    assert model.restart_child("a") == "ok"
    assert RECORDED["u7 restart_child"] == "{ok,pid}"
    assert model.terminate_child("a") == RECORDED["u7 terminate"]
    assert model.delete_child("a") == RECORDED["u7 delete"]
    assert f"{{error,{model.restart_child('a')}}}" == RECORDED["u7 restart deleted"]
    assert f"{{error,{model.terminate_child('zz')}}}" == RECORDED["u7 terminate unknown"]


def prop_a_temporary_child_stopped_by_hand_is_forgotten() -> None:
    model = started(ModelSpec(id="t", restart="temporary"))
    assert model.terminate_child("t") == "ok"
    assert ids(model) == RECORDED["u7 temporary terminated -> spec gone"]


def prop_a_child_that_does_not_start_leaves_nothing() -> None:
    model = started()
    model.failing_inits["q"] = 1
    assert model.start_child(ModelSpec(id="q")) == "error"
    assert ids(model) == RECORDED["u7 spec kept?"]
