"""What ``actorllama bench codec`` tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from attrs import frozen

from actorllama.bench.chart import Bar, Chart, Panel, series_of
from actorllama.bench.codec_figures import CodecFigures
from actorllama.bench.facts import BenchFacts
from actorllama.bench.harness import Spread

__all__ = ["CodecReport"]

_TOY_PARAMS: Final = 100_000_000
_LOSSY_NOTE: Final = (
    "A random or a toy model proves nothing about quality: its KL says that the tool works, not that q8 is"
    " harmless. Measure your own model on a long text before you use a lossy codec."
)


@frozen(kw_only=True)
class CodecReport:
    """All codecs on one model's states."""

    facts: BenchFacts
    options: Mapping[str, object]
    """What was asked for, plain values; the rest says what was done."""
    label: str
    n_params: int
    n_tokens: int
    boundaries: tuple[int, ...]
    """Numbers of cells at which the state was taken, restored and continued."""
    n_positions: int
    """Tokens compared behind each boundary."""
    state_bytes: int
    """Of the longest state, on which ratio and speed were measured."""
    codecs: tuple[CodecFigures, ...]

    @property
    def not_exact(self) -> tuple[str, ...]:
        """Lossless codecs whose continuation was not the live one: then no figure here means anything."""
        return tuple(row.name for row in self.codecs if not row.is_lossy and not row.distance.is_none)

    @property
    def is_toy(self) -> bool:
        """Whether the model is too small for its quality to say anything about others."""
        return self.n_params < _TOY_PARAMS

    def to_json(self) -> dict[str, object]:
        """Give the report as plain values."""
        return {
            **self.facts.envelope("codec", self.options),
            "n_params": self.n_params,
            "is_toy": self.is_toy,
            "n_tokens": self.n_tokens,
            "boundaries": list(self.boundaries),
            "n_positions": self.n_positions,
            "state_bytes": self.state_bytes,
            "is_noise_floor_zero": not self.not_exact,
            "not_exact": list(self.not_exact),
            "codecs": [row.to_json() for row in self.codecs],
            "notes": self.notes(),
        }

    def headline(self) -> str:
        """Say what was measured."""
        return (
            f"{self.label}: {self.n_tokens} tokens, a state of {self.state_bytes:,} bytes,"
            f" {len(self.boundaries)} boundaries x {self.n_positions} positions"
        )

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Give headings and rows."""
        headings = (
            "CODEC",
            "RATIO",
            "IN BLOCKS",
            "ENCODE GB/s",
            "DECODE GB/s",
            "READ PAYS BELOW",
            "WRITE PAYS BELOW",
            "KL MEAN",
            "KL MAX",
            "TOP-1",
        )
        return headings, [_cells(row) for row in self.codecs]

    def notes(self) -> list[str]:
        """Say how to read the figures, and what they do not show."""
        floor = (
            "Noise floor: every lossless codec continues bit for bit like the live run."
            if not self.not_exact
            else f"NOT EXACT: {', '.join(self.not_exact)} should continue bit for bit like the live run and"
            " did not. Trust no figure here; report it with the model's name."
        )
        return [
            floor,
            "GB/s: raw bytes, one thread's own time, memory touched before; none is a plain copy. A tier"
            " slower than PAYS BELOW gains time by the codec; a faster one gains only room.",
            *([f"{self.label} has {self.n_params:,} parameters: a toy."] if self.is_toy else []),
            _LOSSY_NOTE,
        ]

    def lines(self) -> list[str]:
        """Give the report as a person reads it, without a terminal's help."""
        headings, rows = self.table()
        cells = [headings, *rows]
        widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
        table = ["  ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) for row in cells]
        return [self.headline(), *table, *self.notes()]

    def chart(self) -> Chart:
        """Show for each codec what it saves, how fast it is, and how far it is from the live run."""
        names = tuple(row.name for row in self.codecs)

        def panel(title: str, y_label: str, bars: tuple[Bar, ...] = (), **figures: list[float]) -> Panel:
            return Panel(
                title=title,
                x_label="",
                y_label=y_label,
                names=names,
                series=tuple(
                    series_of(name, [(float(x), Spread.of([value])) for x, value in enumerate(values)])
                    for name, values in figures.items()
                ),
                bars=bars,
            )

        return Chart(
            title=f"Codecs on the states of {self.label}",
            panels=(
                panel(
                    "what they save",
                    "raw bytes / encoded bytes",
                    (Bar(value=1.0, label="nothing saved"),),
                    whole=[row.ratio for row in self.codecs],
                    blocks=[row.blocks_ratio for row in self.codecs],
                ),
                panel(
                    "what they cost",
                    "GB/s of raw bytes, one thread",
                    encode=[row.encode.thread_bytes_s / 1e9 for row in self.codecs],
                    decode=[row.decode.thread_bytes_s / 1e9 for row in self.codecs],
                ),
                panel(
                    "what they spoil (lossless ones: exactly 0)",
                    "KL divergence from the live run, nats",
                    mean=[row.distance.kl_mean for row in self.codecs],
                    largest=[row.distance.kl_max for row in self.codecs],
                ),
            ),
            footnote=self.facts.footnote(),
        )


def _cells(row: CodecFigures) -> tuple[str, ...]:
    return (
        f"{row.name} (lossy)" if row.is_lossy else row.name,
        f"{row.ratio:.3f}",
        f"{row.blocks_ratio:.3f}",
        f"{row.encode.thread_bytes_s / 1e9:.2f}",
        f"{row.decode.thread_bytes_s / 1e9:.2f}",
        _rate(row.read_break_even_bytes_s),
        _rate(row.write_break_even_bytes_s),
        f"{row.distance.kl_mean:.3g}",
        f"{row.distance.kl_max:.3g}",
        f"{row.distance.top1_agreement:.4f}",
    )


def _rate(bytes_s: float) -> str:
    return f"{bytes_s / 1e6:.0f} MB/s" if bytes_s > 0 else "never"
