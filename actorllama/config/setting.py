"""One value that some source gives to one option, before it is checked."""

from __future__ import annotations

from attrs import frozen

__all__ = ["Setting"]


@frozen(kw_only=True)
class Setting:
    """A value on its way from a source to an option.

    Attributes:
        section: Name of the section, ``engine``.
        field: Name of the option in it, ``n_seq``.
        value: What the source says.
        source: Where it says so, in words for an error message.
        is_text: The value is a text that must be parsed, as from the environment.
    """

    section: str
    field: str
    value: object
    source: str
    is_text: bool

    @property
    def name(self) -> str:
        """The dotted name of the option."""
        return f"{self.section}.{self.field}"
