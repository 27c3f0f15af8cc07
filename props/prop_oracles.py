"""The oracles themselves: they accept what can be explained and refuse what cannot."""

from __future__ import annotations

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from props.oracles import Op, is_linearizable


@frozen
class Add:
    n: int


@frozen
class Put:
    n: int


@frozen
class Get:
    pass


Request = Add | Put | Get


def apply(state: int, request: Request) -> tuple[int, object]:
    match request:
        case Add(n):
            return state + n, state + n
        case Put(n):
            return n, None
        case Get():
            return state, state


def explained(*ops: Op[Request]) -> bool:
    return is_linearizable(ops, initial=0, apply=apply, casts=frozenset({Put}))


def prop_overlapping_operations_may_take_either_order() -> None:
    first = Op[Request](client=0, request=Add(1), response=3, invoked_at=0, returned_at=10)
    second = Op[Request](client=1, request=Add(2), response=2, invoked_at=1, returned_at=9)
    assert explained(first, second)


def prop_real_time_order_counts() -> None:
    first = Op[Request](client=0, request=Add(1), response=3, invoked_at=0, returned_at=1)
    second = Op[Request](client=1, request=Add(2), response=2, invoked_at=2, returned_at=3)
    assert not explained(first, second)


def prop_a_lost_update_is_refused() -> None:
    adds = [Op[Request](client=i, request=Add(1), response=1, invoked_at=0, returned_at=9) for i in range(2)]
    assert not explained(*adds)


def prop_an_uncertain_operation_may_have_happened_or_not() -> None:
    lost = Op[Request](client=0, request=Add(5), invoked_at=0, is_certain=False)
    for seen in (0, 5):
        assert explained(lost, Op(client=1, request=Get(), response=seen, invoked_at=3, returned_at=4))
    assert not explained(lost, Op(client=1, request=Get(), response=4, invoked_at=3, returned_at=4))


def prop_an_uncertain_operation_happens_once() -> None:
    lost = Op[Request](client=0, request=Add(5), invoked_at=0, is_certain=False)
    assert not explained(lost, Op(client=1, request=Get(), response=10, invoked_at=3, returned_at=4))


def prop_a_cast_takes_effect_before_the_senders_next_call() -> None:
    cast = Op[Request](client=0, request=Put(7), invoked_at=0)
    assert explained(cast, Op(client=0, request=Get(), response=7, invoked_at=2, returned_at=3))
    assert not explained(cast, Op(client=0, request=Get(), response=0, invoked_at=2, returned_at=3))
    assert explained(cast, Op(client=1, request=Get(), response=0, invoked_at=2, returned_at=3))


def prop_an_uncertain_operation_does_not_overtake_the_same_client() -> None:
    lost = Op[Request](client=0, request=Put(7), invoked_at=0, is_certain=False)
    own = Op[Request](client=0, request=Get(), response=0, invoked_at=2, returned_at=3)
    other = Op[Request](client=1, request=Get(), response=7, invoked_at=4, returned_at=5)
    assert not explained(lost, own, other)


@given(st.lists(st.one_of(st.builds(Add, st.integers(0, 3)), st.builds(Get)), max_size=8))
def prop_every_sequential_history_is_accepted_and_a_changed_one_refused(requests: list[Request]) -> None:
    state, ops = 0, list[Op[Request]]()
    for at, request in enumerate(requests):
        state, response = apply(state, request)
        ops.append(
            Op(client=at, request=request, response=response, invoked_at=2 * at, returned_at=2 * at + 1)
        )
    assert explained(*ops)
    if ops:
        last = ops[-1]
        changed = Op[Request](
            client=last.client,
            request=last.request,
            response=-1,
            invoked_at=last.invoked_at,
            returned_at=last.returned_at,
        )
        assert not explained(*ops[:-1], changed)
