"""The name of everything that shapes a saved state."""

from __future__ import annotations

import json
import os
from hashlib import blake2b

from actorllama.native import BuildInfo, ContextFacts, ContextOptions, ModelFacts

__all__ = ["namespace_of", "salted", "variant"]

_VERSION = 2


def namespace_of(model: ModelFacts, context: ContextFacts, options: ContextOptions, build: BuildInfo) -> str:
    """Return a hex digest that two contexts share only if a state of one is a state of the other.

    It covers the model file, the build of llama.cpp, KV types, layout, flash attention, and the environment
    variable that turns quantised KV (llama-notes 1.3). The number of sequences and their length are not part
    of it: saved rows are cut out of a state and put together for any context. Nor is it their business that
    llama.cpp lets a micro-batch have no more tokens than the whole context: a sequence that fits into the
    context is cut into the same micro-batches as without that bound.
    """
    widened = options.with_batch_for_sequences()
    facts = {
        "version": _VERSION,
        "model": model.fingerprint,
        "library": build.version,
        "system": build.system_info,
        "type_k": options.type_k,
        "type_v": options.type_v,
        "layout": context.layout,
        "n_ubatch": min(widened.n_ubatch, widened.n_batch),
        "flash_attention": context.flash_attention,
        "rotation": os.environ.get("LLAMA_ATTN_ROT_DISABLE", ""),
    }
    return blake2b(
        json.dumps(facts, sort_keys=True).encode(), digest_size=16, person=b"ALnamespace"
    ).hexdigest()


def salted(namespace: str, salt: str) -> str:
    """Return the namespace of one tenant: without its salt nobody finds, shares or even times what is there.

    An empty salt is no tenant: the namespace itself.
    """
    if not salt:
        return namespace
    content = json.dumps([namespace, salt], ensure_ascii=True).encode()
    return blake2b(content, digest_size=16, person=b"ALtenant").hexdigest()


def variant(namespace: str, how: str) -> str:
    """Return the namespace of states that are computed or kept in another way."""
    return blake2b(f"{namespace} {how}".encode(), digest_size=16, person=b"ALvariant").hexdigest()
