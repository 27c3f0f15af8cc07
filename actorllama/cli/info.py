"""``actorllama info``: what a model file says, without loading its weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from attrs import asdict

from actorllama.cli.examples import examples
from actorllama.cli.model_summary import ModelSummary, summarise
from actorllama.cli.parameters import JSON, model_path_from
from actorllama.cli.screen import say_fields, say_json, size_of
from actorllama.demo import model_path

__all__ = ["command"]


@click.command(
    "info",
    params=[click.Argument(["model"], required=False), JSON],
    epilog=examples("actorllama info", "actorllama info model.gguf", "actorllama info --json model.gguf"),
)
def command(*, model: str | None, as_json: bool) -> None:
    """Tell what a model file says about itself.

    MODEL is the path of a GGUF file; without one, the embedded demo model. The weights are not loaded.
    """
    summary = summarise(model_path_from(model) or Path(model_path()))
    if as_json:
        say_json(asdict(summary) | {"bits_per_weight": round(summary.bits_per_weight, 3)})
    else:
        say_fields(_fields(summary))


def _fields(summary: ModelSummary) -> Iterator[tuple[str, str]]:
    """Choose what a person wants to know, in that order."""
    yield "path", summary.path
    for label, text in (
        ("name", summary.name),
        ("description", summary.description),
        ("license", summary.license),
    ):
        if text:
            yield label, text
    yield "architecture", summary.architecture
    yield "parameters", _count(summary.n_params)
    files = f" in {summary.n_files} files" if summary.n_files > 1 else ""
    yield "size", f"{size_of(summary.file_bytes)}{files}, {summary.bits_per_weight:.2f} bits per weight"
    yield (
        "quantisation",
        ", ".join(f"{s.type} {size_of(s.n_bytes)} ({s.n_tensors} tensors)" for s in summary.quantisation),
    )
    yield "context", f"{summary.n_ctx_train} tokens"
    yield "layers", f"{summary.n_layer} of width {summary.n_embd}"
    if summary.n_head is not None:
        yield "heads", f"{summary.n_head}, {summary.n_head_kv} for keys and values"
    if summary.n_experts:
        yield "experts", str(summary.n_experts)
    yield "vocabulary", f"{summary.n_vocab} tokens ({summary.tokenizer or 'no tokenizer named'})"
    yield "KV per token", _kv(summary)
    yield "chat template", f"{len(summary.chat_template)} characters" if summary.chat_template else "none"


def _kv(summary: ModelSummary) -> str:
    if summary.kv_bytes_per_token is None:
        return "not told by the file"
    if summary.kv_bytes_per_token == 0:
        return "none: a state of fixed size"
    whole = summary.kv_bytes_per_token * summary.n_ctx_train
    return f"{size_of(summary.kv_bytes_per_token)} (f16), {size_of(whole)} for a full context"


def _count(n: int) -> str:
    for limit, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if n >= limit:
            return f"{n / limit:.2f} {unit}"
    return str(n)
