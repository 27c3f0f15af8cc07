"""A bus that holds every emitter to what its events declare: the default in our tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from actorllama.telemetry.bus import NOTHING, Bus
from actorllama.telemetry.event import Event, Measurements, Metadata

__all__ = ["StrictBus"]


class StrictBus(Bus):
    """Refuses undeclared keys and values that are not numbers.

    It always claims to be listening, so that the code which puts a fact together runs in tests even
    where no handler is attached. It is a class of its own, so that `Bus.execute` pays nothing for it.
    """

    def is_listening(self, event: Event) -> bool:
        """Say yes."""
        return True

    def execute(
        self, event: Event, measurements: Measurements = NOTHING, metadata: Metadata = NOTHING
    ) -> None:
        """Check the fact, then tell it.

        Raises:
            ValueError: A key is not declared.
        TypeError: A measurement is not a number.
        """
        _refuse_undeclared(event, "measurements", event.measurements, measurements)
        _refuse_undeclared(event, "metadata", event.metadata, metadata)
        _refuse_non_numbers(event, measurements)
        super().execute(event, measurements, metadata)


def _refuse_undeclared(event: Event, what: str, declared: tuple[str, ...], given: Iterable[str]) -> None:
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise ValueError(f"{event}: {what} {unknown} are not declared; it has {sorted(declared)}")


def _refuse_non_numbers(event: Event, measurements: Mapping[str, object]) -> None:
    for key, value in measurements.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{event}: measurement {key!r} must be a number: {value!r}")
