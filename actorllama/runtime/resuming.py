"""From a resume key to the turn that goes on where the saved one stood."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve

from actorllama.actors import System
from actorllama.engine import FindSnapshot, ModelInfo, TurnRecord, TurnRequest, check_request, plain, salted
from actorllama.errors import ActorExited, RequestError, SnapshotNotFound
from actorllama.kvcache import Snapshot
from actorllama.runtime.names import CACHE_NAME

__all__ = ["find_snapshot", "resumed_request"]

_FIND_TIMEOUT_S = 60.0


async def find_snapshot(system: System, key: str, info: ModelInfo, *, cache_salt: str) -> Snapshot:
    """Look a saved turn up in every tier.

    Raises:
        RequestError: The key is no text.
        SnapshotNotFound: No tier has it.
        SnapshotMismatch: It was saved by another model, build, layout or tenant.
    """
    if not isinstance(key, str) or not key:
        raise RequestError(field="resume_key", value=key, reason="must be the resume_key of a result")
    cache = system.whereis(CACHE_NAME)
    if cache is None:
        raise SnapshotNotFound(key=key)
    try:
        hit = await cache.call(FindSnapshot(key=key), timeout_s=_FIND_TIMEOUT_S)
    except ActorExited as exc:
        raise SnapshotNotFound(key=key) from exc
    if hit is None:
        raise SnapshotNotFound(key=key)
    snapshot = hit.entry
    if not isinstance(snapshot, Snapshot):  # the key of something else that is saved
        raise SnapshotNotFound(key=key)
    snapshot.check_namespace(salted(info.namespace, cache_salt))
    return snapshot


def resumed_request(
    snapshot: Snapshot,
    info: ModelInfo,
    *,
    max_tokens: int | None,
    stop: str | Sequence[str] | None,
    seed: int | None,
    keep: bool,
) -> TurnRequest:
    """Make the request that continues a saved turn.

    The sampler, its parameters and its random generator come from the snapshot, and so do the stop
    strings unless others are given. With another ``seed`` the generator starts anew: a regenerated turn.

    Raises:
        ContextFull: The saved turn has filled its sequence.
        RequestError: A parameter is out of bounds.
        StateError: The snapshot's record cannot be read.
    """
    record = TurnRecord.from_bytes(snapshot.sampler)
    if seed is not None:
        params = evolve(record.sampler.params, seed=seed)
        record = evolve(record, sampler=evolve(record.sampler, params=params, n_draws=0))
    request = check_request(
        prompt=plain(snapshot.tokens),
        sampling=record.sampler.params,
        max_tokens=max_tokens,
        stop=record.stop if stop is None else stop,
        keep=keep,
        is_resumed=True,
        vocabulary=info.vocabulary,
        context=info.context,
    )
    return evolve(request, record=record, past=snapshot.tokens[:-1])
