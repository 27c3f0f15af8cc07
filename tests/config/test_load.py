from pathlib import Path

import pytest

from actorllama.config import Config, gather_settings, load_config
from actorllama.errors import ConfigError
from actorllama.telemetry import TelemetryOptions


def written(directory: Path, text: str) -> Path:
    path = directory / "actorllama.toml"
    path.write_text(text)
    return path


def test_no_source_gives_the_defaults() -> None:
    assert load_config(env={}) == Config()


def test_later_sources_win(tmp_path: Path) -> None:
    path = written(tmp_path, '[telemetry]\nlog_level = "debug"\nlog_format = "json"\nlog_prompts = true\n')
    env = {"ACTORLLAMA_TELEMETRY_LOG_LEVEL": "warning", "ACTORLLAMA_TELEMETRY_LOG_FORMAT": "human"}
    arguments = {"telemetry.log_level": "error"}

    config = load_config(toml_path=path, env=env, arguments=arguments)

    assert config.telemetry == TelemetryOptions(log_level="error", log_format="human", log_prompts=True)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTORLLAMA_TELEMETRY_LOG_PROMPTS", "yes")
    assert load_config().telemetry.log_prompts


def test_arguments_may_be_typed_values() -> None:
    assert load_config(env={}, arguments={"telemetry.log_prompts": True}).telemetry.log_prompts


def test_other_variables_are_none_of_our_business() -> None:
    assert load_config(env={"PATH": "/bin", "ACTOR": "x", "LLAMA_CPP": "y"}) == Config()


@pytest.mark.parametrize(
    ("text", "field", "hint"),
    [
        ('[telemetrx]\nlog_level = "info"', "telemetrx", "Did you mean telemetry?"),
        ('[telemetry]\nlog_levl = "info"', "telemetry.log_levl", "Did you mean log_level?"),
        ('[telemetry]\nzzz = "info"', "telemetry.zzz", "Known: log_format, log_level, log_prompts."),
        ('[telemetry]\nlog_level = "loud"', "telemetry.log_level", "debug, info, warning, error"),
        ("[telemetry]\nlog_level = 3", "telemetry.log_level", "debug, info, warning, error"),
        ('[telemetry]\nlog_prompts = "true"', "telemetry.log_prompts", "boolean"),
        ("[telemetry]\nlog_prompts = 1", "telemetry.log_prompts", "boolean"),
        ("telemetry = 3", "telemetry", "Put it under a [section]."),
        ("[telemetry", "file", "Not TOML"),
    ],
)
def test_a_mistake_in_the_file_names_field_file_and_remedy(
    tmp_path: Path, text: str, field: str, hint: str
) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(toml_path=path, env={})

    assert caught.value.field == field
    assert caught.value.source == str(path)
    assert hint in str(caught.value)


def test_a_file_that_is_missing_a_directory_or_not_text_is_an_error(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for path in (tmp_path / "missing.toml", tmp_path, binary):
        with pytest.raises(ConfigError) as caught:
            load_config(toml_path=path, env={})
        assert (caught.value.field, caught.value.value, caught.value.source) == ("file", str(path), str(path))


@pytest.mark.parametrize(
    ("variable", "text", "field", "hint"),
    [
        ("ACTORLLAMA_TELEMETRY_LOG_PROMPTS", "perhaps", "telemetry.log_prompts", "true or false"),
        ("ACTORLLAMA_TELEMETRY_LOG_LEVEL", "loud", "telemetry.log_level", "debug, info, warning, error"),
        ("ACTORLLAMA_TELEMETRY_LOG_LEVLE", "info", "telemetry.log_levle", "Did you mean log_level?"),
        ("ACTORLLAMA_TELEMETRIE_LOG_LEVEL", "info", "telemetrie_log_level", "ACTORLLAMA_TELEMETRY_"),
        ("ACTORLLAMA_", "info", "", "ACTORLLAMA_TELEMETRY_"),
    ],
)
def test_a_mistake_in_a_variable_names_the_variable(variable: str, text: str, field: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(env={variable: text})

    assert (caught.value.field, caught.value.value) == (field, text)
    assert caught.value.source == f"environment variable {variable}"
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("log_level", "info", "section.field"),
        ("telemetry.log_level", 3, "debug, info, warning, error"),
        ("telemetry.colour", "red", "Known"),
        ("telemetri.log_level", "info", "Did you mean telemetry?"),
    ],
)
def test_a_mistake_in_an_argument_says_so(name: str, value: object, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(env={}, arguments={name: value})

    assert (caught.value.value, caught.value.source) == (value, "arguments")
    assert hint in str(caught.value)


def test_a_mistake_does_not_hide_behind_a_later_source(tmp_path: Path) -> None:
    path = written(tmp_path, '[telemetry]\nlog_level = "loud"')
    with pytest.raises(ConfigError) as caught:
        load_config(toml_path=path, env={}, arguments={"telemetry.log_level": "info"})

    assert caught.value.source == str(path)


def test_what_each_source_says_can_be_shown(tmp_path: Path) -> None:
    path = written(tmp_path, '[telemetry]\nlog_level = "debug"\n')
    settings = gather_settings(
        toml_path=path,
        env={"ACTORLLAMA_TELEMETRY_LOG_LEVEL": "info"},
        arguments={"telemetry.log_prompts": True},
    )

    assert [(setting.name, setting.source) for setting in settings] == [
        ("telemetry.log_level", str(path)),
        ("telemetry.log_level", "environment variable ACTORLLAMA_TELEMETRY_LOG_LEVEL"),
        ("telemetry.log_prompts", "arguments"),
    ]
