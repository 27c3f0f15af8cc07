"""``actorllama config``: what is in force, and who said so."""

from __future__ import annotations

import click
from attrs import asdict

from actorllama.cli.app import App
from actorllama.cli.examples import examples
from actorllama.cli.parameters import JSON
from actorllama.cli.screen import note, say_json, say_piece, say_table
from actorllama.config import render_default_toml

__all__ = ["command"]


@click.command(
    "config",
    params=[
        click.Option(
            ["--default", "is_default"], is_flag=True, help="Write the defaults down, as a TOML file."
        ),
        JSON,
    ],
    epilog=examples(
        "actorllama config",
        "actorllama config --default > actorllama.toml",
        "actorllama --config actorllama.toml config --json",
    ),
)
@click.pass_obj
def command(app: App, *, is_default: bool, as_json: bool) -> None:
    """Tell every option, its value, and where it was set.

    Later sources win: defaults, the file of --config, variables ACTORLLAMA_<SECTION>_<FIELD>, arguments.
    """
    if is_default:
        say_piece(render_default_toml())
        return
    values: dict[str, dict[str, object]] = asdict(app.config)
    if as_json:
        say_json({"options": values, "sources": dict(app.sources), "file": _file(app)})
        return
    names = [(section, field) for section, fields in values.items() for field in fields]
    say_table(
        ("OPTION", "VALUE", "SET BY"),
        [
            (
                f"{section}.{field}",
                str(values[section][field]),
                app.sources.get(f"{section}.{field}", "default"),
            )
            for section, field in names
        ],
    )
    note(f"file: {_file(app) or 'none (--config FILE)'}")


def _file(app: App) -> str | None:
    return None if app.config_path is None else str(app.config_path)
