"""A context that was tried before is made ready at load, and nothing of that is left in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from actorllama.engine.host import EngineHost
from actorllama.engine.load_job import LoadJob
from actorllama.engine.rehearsal import rehearse, rehearse_chat
from actorllama.engine.spec import ModelSpec
from actorllama.ids import SeqId
from actorllama.native import ContextOptions, InferenceContext, ModelOptions, StepBatch
from actorllama.native.llama import LlamaBackend
from actorllama.native.llama.context import LlamaContext
from actorllama.testing.fake_backend import FakeBackend
from actorllama.testing.random_models import write_random_model

FAMILIES = ("llama", "gemma3", "mamba", "jamba")
OPTIONS = ContextOptions(n_seq=2, ctx_per_seq=256, n_threads=1)


def digests_of_a_turn(context: InferenceContext) -> list[bytes]:
    """Compute a prompt and one more token; nothing is rounded away by the digests."""
    digests: list[bytes] = []
    for first, end in ((0, 40), (40, 41)):
        context.decode(
            StepBatch(
                tokens=[5 + position % 50 for position in range(first, end)],
                positions=range(first, end),
                seq_ids=[1] * (end - first),
                outputs=[end - first - 1],
            )
        )
        digests.append(context.logits_digest(0))
    return digests


@pytest.mark.parametrize("family", FAMILIES)
def test_a_turn_after_it_is_bit_by_bit_what_it_is_without(family: str, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "model.gguf", family, seed=1)
    model = LlamaBackend().load(path, ModelOptions(), lambda _fraction: True)
    found: list[list[bytes]] = []
    for is_rehearsed in (False, True):
        context = model.open_context(OPTIONS)
        if is_rehearsed:
            rehearse(context)
            assert [context.position_range(seq_id) for seq_id in range(2)] == [None, None]
        found.append(digests_of_a_turn(context))
        context.close()
    model.close()
    assert found[0] == found[1]


PROGRAM = """
import sys
from pathlib import Path
from actorllama import demo
from actorllama.engine.host import EngineHost
from actorllama.engine.load_job import LoadJob
from actorllama.engine.spec import ModelSpec
from actorllama.native import ContextOptions
from actorllama.native.llama import LlamaBackend

spec = ModelSpec(
    name="model",
    path=demo.model_path(),
    backend=LlamaBackend(),
    context_options=ContextOptions(n_seq=2, ctx_per_seq=256, n_threads=1),
    verdict_dir=Path(sys.argv[1]),
)
host = EngineHost()
host.start()
for _ in range(2):
    job = LoadJob(spec)
    job.load(host)
    print("actorllama.engine.chat_code" in sys.modules)
    job.close()
host.close(timeout_s=60)
"""


def test_what_chats_need_is_loaded_where_an_earlier_process_may_have_chatted(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=180,
    )
    assert done.stdout.split() == ["False", "True"]


def test_a_broken_template_and_none_at_all_keep_nobody_from_loading() -> None:
    facts = FakeBackend().load(Path("fake.gguf"), ModelOptions(), lambda _fraction: True).facts
    for template in ("{% broken", "", "{{ messages }}"):
        rehearse_chat(evolve(facts, chat_template=template))


def test_what_fails_is_left_to_the_turn_that_needs_it() -> None:
    backend = FakeBackend()
    backend.faults.fail_decode(1, nth=1)
    model = backend.load(Path("fake.gguf"), ModelOptions(), lambda _fraction: True)
    context = model.open_context(OPTIONS)
    rehearse(context)
    assert context.position_range(0) is None
    assert len(digests_of_a_turn(context)) == 2


def test_a_loaded_context_is_ready_whether_it_was_tried_now_or_before(tmp_path: Path) -> None:
    spec = ModelSpec(
        name="model",
        path=write_random_model(tmp_path / "model.gguf", "llama", seed=1),
        backend=LlamaBackend(),
        context_options=OPTIONS,
        verdict_dir=tmp_path / "verdicts",
    )
    host = EngineHost(name="test-rehearsal")
    host.start()
    sources: list[str] = []
    try:
        for _ in range(2):
            job = LoadJob(spec)
            opened = job.load(host)
            sources.append(opened.verdict.source)
            assert isinstance(opened.context, LlamaContext)
            assert opened.context._layout is not None, "it knows how its states look"
            assert [opened.context.position_range(SeqId(n)) for n in range(2)] == [None, None]
            job.close()
    finally:
        assert host.close(timeout_s=60)
    assert sources == ["canary", "remembered"]
