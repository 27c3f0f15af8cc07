"""What the global options say, as one value that every command gets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from actorllama.config import Config, gather_settings, load_config

__all__ = ["App", "load_app"]

# A log line between the words of a reply helps nobody: commands are quieter than the library.
_QUIET: Mapping[str, object] = {"telemetry.log_level": "warning"}


@frozen(kw_only=True)
class App:
    """The configuration of one command line.

    ``sources`` says of each option that is not at its default where it was set.
    """

    config: Config
    config_path: Path | None
    arguments: Mapping[str, object]
    sources: Mapping[str, str]

    @property
    def is_debugging(self) -> bool:
        """Whether a traceback is welcome."""
        return self.config.telemetry.log_level == "debug"

    def with_arguments(self, arguments: Mapping[str, object]) -> App:
        """Add what a command's own options say.

        Raises:
            ConfigError: One of them is not usable.
        """
        return load_app(config_path=self.config_path, arguments={**self.arguments, **arguments})


def load_app(*, config_path: Path | None, arguments: Mapping[str, object]) -> App:
    """Merge the sources of the configuration.

    Args:
        config_path: A TOML file, or ``None``.
        arguments: ``{"section.field": value}`` from the command line.

    Raises:
        ConfigError: One of the sources is not usable.
    """
    settings = gather_settings(toml_path=config_path, arguments=arguments)
    sources = {setting.name: setting.source for setting in settings}
    quiet = {name: value for name, value in _QUIET.items() if name not in sources}
    config = load_config(toml_path=config_path, arguments={**quiet, **arguments})
    return App(
        config=config,
        config_path=config_path,
        arguments=arguments,
        sources={**dict.fromkeys(quiet, "the command's own default"), **sources},
    )
