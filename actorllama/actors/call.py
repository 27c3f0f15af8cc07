"""A request that says in its type what the reply is."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Call"]

R_co = TypeVar("R_co", covariant=True)


class Call(Generic[R_co]):
    """Base of call messages: ``class Get(Call[int])`` makes ``await ref.call(Get())`` an ``int``.

    Optional: a message that is no ``Call`` may be sent too, and its reply is an ``object``.
    """

    __slots__ = ()
