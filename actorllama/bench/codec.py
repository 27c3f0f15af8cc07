"""What a codec saves, costs and spoils on a model's own states: ``actorllama bench codec``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import trio
from attrs import frozen

from actorllama.bench.codec_figures import CodecFigures, Distance, Speed, distance, fastest
from actorllama.bench.codec_report import CodecReport
from actorllama.bench.codec_text import LiveRun, Logits, logits_after, run_live
from actorllama.bench.facts import BenchStart, MeasuredModel, plain_options
from actorllama.errors import RequestError
from actorllama.kvcache import CODECS, Codec, RowSpan, codec_named
from actorllama.native import ContextOptions, ModelOptions
from actorllama.native.llama import LlamaBackend
from actorllama.native.llama.context import LlamaContext
from actorllama.native.state_blocks import split_state
from actorllama.native.state_layout import SectionKind, section_kinds
from actorllama.native.state_part import float_rows
from actorllama.native.state_parts import FloatRows
from actorllama.native.state_spans import float_spans

__all__ = ["CodecBenchOptions", "run_codec_bench"]

_N_SEQ: Final = 2  # the live sequence, and the one that is restored
_BLOCK_TOKENS: Final = 64
_MAX_TOKENS: Final = 1 << 17


@frozen(kw_only=True)
class CodecBenchOptions:
    """What to measure."""

    model: Path
    label: str
    n_tokens: int = 512
    """Length of the text; a model with a shorter context gets as much as it holds."""
    n_boundaries: int = 4
    n_positions: int = 32
    """Tokens compared behind each boundary."""
    n_threads: int = 1
    seed: int = 7
    flash_attention: bool = False
    """Otherwise values are stored transposed, and a lone row's result depends on its company."""

    def __attrs_post_init__(self) -> None:
        """Refuse what cannot be measured."""
        bounds = (
            ("tokens", self.n_tokens, self.n_positions + self.n_boundaries, _MAX_TOKENS),
            ("boundaries", self.n_boundaries, 1, 64),
            ("positions", self.n_positions, 1, 4096),
            ("threads", self.n_threads, 0, 512),
        )
        for field, value, low, high in bounds:
            if not low <= value <= high:
                raise RequestError(field=field, value=value, reason=f"must be {low} to {high}")


async def run_codec_bench(
    options: CodecBenchOptions, on_progress: Callable[[str], None] = lambda _line: None
) -> CodecReport:
    """Let a model write, take its states, and continue from what each codec gives back.

    One thread does it all. Sequence 0 writes a text token by token and keeps its logits; each state that it
    passed is encoded, decoded and restored into sequence 1, which then decodes the same tokens.

    Raises:
        ModelLoadError: The model cannot be used.
        RequestError: Its context is too short for the positions asked for.
    """

    def report_from_thread(line: str) -> None:
        trio.from_thread.run_sync(on_progress, line)

    return await trio.to_thread.run_sync(lambda: _measure(options, report_from_thread))


def _measure(options: CodecBenchOptions, on_progress: Callable[[str], None]) -> CodecReport:
    began = BenchStart.now()
    backend = LlamaBackend()
    on_progress(f"loading {options.label}")
    model = backend.load(options.model, ModelOptions(), lambda _fraction: True)
    try:
        n_tokens = min(options.n_tokens, model.facts.n_ctx_train)
        room = n_tokens - options.n_positions
        if room < options.n_boundaries:
            raise RequestError(
                field="positions", value=options.n_positions, reason=f"the model holds {n_tokens} tokens"
            )
        boundaries = [room * (index + 1) // options.n_boundaries for index in range(options.n_boundaries)]
        context = model.open_context(
            ContextOptions(
                n_seq=_N_SEQ,
                ctx_per_seq=max(8, n_tokens),
                n_threads=options.n_threads,
                flash_attention=options.flash_attention,
            )
        )
        try:
            on_progress(f"writing {n_tokens} tokens")
            live = run_live(
                model,
                context,
                n_tokens=n_tokens,
                boundaries=boundaries,
                n_positions=options.n_positions,
                seed=options.seed,
                between=trio.from_thread.check_cancelled,
            )
            bench = _CodecBench(context, live, boundaries, section_kinds(model.facts))
            rows: list[CodecFigures] = []
            for name in CODECS:
                on_progress(f"codec {name}")
                rows.append(bench.figures(codec_named(name)))
        finally:
            context.close()
        return CodecReport(
            facts=began.facts(
                build=backend.build_info(),
                model=MeasuredModel(label=options.label, fingerprint=model.facts.fingerprint),
            ),
            options=plain_options(options),
            label=options.label,
            n_params=model.facts.n_params,
            n_tokens=n_tokens,
            boundaries=tuple(boundaries),
            n_positions=options.n_positions,
            state_bytes=len(live.states[-1]),
            codecs=tuple(rows),
        )
    finally:
        model.close()


class _CodecBench:
    """One live run, against which every codec is held."""

    def __init__(
        self, context: LlamaContext, live: LiveRun, boundaries: Sequence[int], kinds: Sequence[SectionKind]
    ) -> None:
        self._context = context
        self._live = live
        self._boundaries = boundaries
        self._kinds = kinds
        self._parts = self._cut(live.states[-1])

    def figures(self, codec: Codec) -> CodecFigures:
        state = memoryview(self._live.states[-1])
        spans = self._spans(state)
        target = memoryview(bytearray(len(state)))
        encoded = codec.encode(state, spans=spans)

        def encode() -> None:
            # "none" hands its argument on: the copy is what a tier then does, and makes the row comparable.
            result = codec.encode(state, spans=spans)
            if result is state:
                target[:] = state

        return CodecFigures(
            name=codec.name,
            is_lossy=codec.is_lossy,
            ratio=len(state) / len(encoded),
            blocks_ratio=self._blocks_ratio(codec),
            encode=self._speed(encode),
            decode=self._speed(lambda: codec.decode(encoded, n_bytes=len(state), into=target)),
            distance=self._distance(codec),
        )

    def _speed(self, work: Callable[[], object]) -> Speed:
        return fastest(work, n_bytes=len(self._live.states[-1]))

    def _distance(self, codec: Codec) -> Distance:
        others = [
            self._continued(codec, state, n_cells)
            for state, n_cells in zip(self._live.states, self._boundaries, strict=True)
        ]
        return distance(np.concatenate(self._live.logits), np.concatenate(others))

    def _continued(self, codec: Codec, state: bytes, n_cells: int) -> Logits:
        encoded = codec.encode(state, spans=self._spans(memoryview(state)))
        decoded = codec.decode(encoded, n_bytes=len(state))
        self._context.set_state(1, memoryview(decoded), n_cells=n_cells)
        rows: list[Logits] = []
        for position in range(n_cells, n_cells + len(self._live.logits[0])):
            trio.from_thread.check_cancelled()
            token = self._live.tokens[position]
            rows.append(logits_after(self._context, token, position=position, seq_id=1))
        self._context.clear_sequence(1)
        return np.stack(rows)

    def _cut(self, state: bytes) -> list[memoryview]:
        parts = split_state(memoryview(state), self._kinds, n_stream=_N_SEQ, block_tokens=_BLOCK_TOKENS)
        return [*parts.blocks, *([] if parts.boundary is None else [parts.boundary])]

    def _blocks_ratio(self, codec: Codec) -> float:
        sizes = [len(codec.encode(part, spans=_as_spans(float_rows(part)))) for part in self._parts]
        return sum(map(len, self._parts)) / sum(sizes)

    def _spans(self, state: memoryview) -> list[RowSpan]:
        return _as_spans(float_spans(state, self._kinds, n_stream=_N_SEQ))


def _as_spans(rows: Sequence[FloatRows]) -> list[RowSpan]:
    return [RowSpan(offset=row.offset, n_bytes=row.n_bytes, element=row.element) for row in rows]
