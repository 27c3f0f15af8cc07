"""Gathers the rooms' options from where people write them.

**What lives here.** `Config`, one frozen value with a section per room; `load_config`, which merges
defaults < TOML file < ``ACTORLLAMA_<SECTION>_<FIELD>`` < arguments; `gather_settings`, which tells what
each source says, for those who show where a value comes from; `render_default_toml`, which writes
``config/default.toml`` from the classes (``python -m actorllama.config`` prints it).

**Who owns it and what always holds.** Nobody owns a configuration: it is a value, made once and passed
around. A default is written once, in the option class of its room. A name that is not known is an error
that suggests the nearest one; a value that cannot be parsed, or is out of bounds, is an error that names
the field, the value and the source, also when a later source would have hidden it. Loading the generated
file gives the defaults.

**What it may import.** The rooms below, for their option classes, and `actorllama.options`. Nothing here
starts anything or keeps state.

**Why this way, and what we refused.** Option classes live in the rooms, since a room must be usable
without this one. The environment has a flat scheme, section then field, because sections are single
words; nested separators (``__``) are harder to type and say nothing more. We refused a global object, a
search path for files (the caller names the file), and warnings for unknown keys, which nobody reads.

**Read next.** ``config.py`` for the sections, then ``merge.py``.
"""

from __future__ import annotations

from actorllama.config.config import Config
from actorllama.config.load import gather_settings, load_config
from actorllama.config.render import render_default_toml
from actorllama.config.setting import Setting

__all__ = ["Config", "Setting", "gather_settings", "load_config", "render_default_toml"]
