import io
import json
import os
import resource
import stat
import threading
from pathlib import Path

import pytest

from actorllama.errors import ConfigError, RequestError
from actorllama.telemetry import (
    HANDLER_FAILED,
    Bus,
    Event,
    JsonLinesHandler,
    MemoryHandler,
    attach_structlog,
    record,
)
from tests.open_files import open_below

TURN = Event(
    name=("engine", "turn", "ended"),
    measurements=("decode_s", "n_generated"),
    metadata=("model", "prompt", "text", "error"),
    private=("prompt", "text"),
    doc="A turn ended.",
)
STEP = Event(name=("engine", "step", "reported"), measurements=("n_steps",), level="debug", doc="A step.")


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="ascii").splitlines()]


def test_each_event_is_one_line_with_its_number_time_and_level(tmp_path: Path) -> None:
    bus, path = Bus(system_s=lambda: 1_700_000_000.25), tmp_path / "events.jsonl"
    with JsonLinesHandler(bus, path, level="debug") as lines:
        bus.execute(STEP, {"n_steps": 1})
        bus.execute(TURN, {"decode_s": 0.5, "n_generated": 7}, {"model": "chat"})

    assert lines_of(path) == [
        {
            "seq": 1,
            "timestamp": "2023-11-14T22:13:20.250000+00:00",
            "event": "engine.step.reported",
            "level": "debug",
            "measurements": {"n_steps": 1},
            "metadata": {},
        },
        {
            "seq": 2,
            "timestamp": "2023-11-14T22:13:20.250000+00:00",
            "event": "engine.turn.ended",
            "level": "info",
            "measurements": {"decode_s": 0.5, "n_generated": 7},
            "metadata": {"model": "chat"},
        },
    ]
    assert bus.handler_ids() == ()
    assert repr(lines) == f"<JsonLinesHandler {path}, 2 lines, 0 dropped>"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_words_and_errors_are_redacted_as_in_log_lines(tmp_path: Path) -> None:
    error = RequestError(field="prompt", value="my secret", reason="too long")
    said = {"model": "chat", "prompt": (1, 2, 3), "text": "my secret", "error": error}
    bus, path, out = Bus(), tmp_path / "events.jsonl", io.StringIO()
    attach_structlog(bus, stream=out)
    with JsonLinesHandler(bus, path):
        bus.execute(TURN, {}, said)

    assert bus.flush()
    (line,) = lines_of(path)
    logged = json.loads(out.getvalue())
    assert "secret" not in path.read_text()
    assert line["metadata"] == {key: logged[key] for key in said}
    assert logged["prompt"] == "<3 items>"
    assert logged["text"] == "<9 characters>"


def test_words_are_written_when_asked_for(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "events.jsonl"
    with JsonLinesHandler(bus, path, log_prompts=True):
        bus.execute(TURN, {}, {"prompt": (1, 2, 3), "text": "bad \udc80 end\n"})

    assert lines_of(path)[0]["metadata"] == {"prompt": [1, 2, 3], "text": "bad \udc80 end\n"}


def test_values_that_json_lacks_become_words(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "events.jsonl"
    with JsonLinesHandler(bus, path):
        bus.execute(
            TURN,
            {"decode_s": float("nan"), "n_generated": float("-inf")},
            {"model": float("inf"), "error": {"a", "set"}},
        )

    (line,) = lines_of(path)
    assert "NaN" not in path.read_text()
    assert line["measurements"] == {"decode_s": "nan", "n_generated": "-inf"}
    assert line["metadata"] == {"model": "inf", "error": "<set>"}


@pytest.mark.parametrize(("level", "expected"), [("debug", 2), ("info", 1), ("warning", 0)])
def test_quieter_levels_are_not_written(tmp_path: Path, level: str, expected: int) -> None:
    bus, path = Bus(), tmp_path / "events.jsonl"
    with JsonLinesHandler(bus, path, level=level):  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
        bus.execute(STEP)
        bus.execute(TURN)

    assert len(lines_of(path)) == expected


def test_a_file_that_is_there_is_appended_to(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "events.jsonl"
    for _ in range(2):
        with JsonLinesHandler(bus, path, prefix=TURN):
            bus.execute(TURN)
            bus.execute(STEP)

    assert [line["seq"] for line in lines_of(path)] == [1, 1]


def test_numbers_grow_by_one_whatever_threads_tell(tmp_path: Path) -> None:
    bus, path, n_facts, n_threads = Bus(), tmp_path / "events.jsonl", 300, 4

    def tell() -> None:
        for _ in range(n_facts):
            bus.execute(STEP, {"n_steps": 1})

    with JsonLinesHandler(bus, path, level="debug", interval_s=0.0):
        threads = [threading.Thread(target=tell) for _ in range(n_threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [line["seq"] for line in lines_of(path)] == list(range(1, n_facts * n_threads + 1))


def test_a_disk_that_does_not_keep_up_costs_lines_and_their_numbers_never_a_wait(tmp_path: Path) -> None:
    """The reader of a named pipe reads late: until then the buffer fills, and more is dropped."""
    bus, path = Bus(), tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    line = {"model": "m" * 1000}
    with JsonLinesHandler(bus, path, buffer_limit_bytes=10_000, interval_s=0.0) as lines:
        n_told = 1
        bus.execute(TURN, {}, line)
        while lines.n_dropped == 0:  # 64 KiB are in the pipe, 10,000 bytes behind it
            bus.execute(TURN, {}, line)
            bus.flush()
            n_told += 1
        os.set_blocking(reader, True)
        drained = threading.Thread(target=lambda: written.append(_read_all(reader)))
        written: list[bytes] = []
        drained.start()
        n_dropped = lines.n_dropped
    drained.join()
    os.close(reader)

    seqs = [json.loads(row)["seq"] for row in written[0].splitlines()]
    assert n_dropped == 1
    assert seqs == list(range(1, n_told))
    assert lines.n_lines == n_told - 1


def _read_all(file: int) -> bytes:
    data = b""
    while chunk := os.read(file, 1 << 16):
        data += chunk
    return data


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_detaches_the_handler_and_is_reported_once(bus: Bus, heard: MemoryHandler) -> None:
    with JsonLinesHandler(bus, "/dev/full") as lines:
        bus.execute(TURN)
    lines.close()
    bus.execute(TURN)

    (failure,) = heard.of(HANDLER_FAILED)
    assert failure.metadata["handler_id"] == "json_lines"
    assert failure.metadata["failed_event"] == "engine.turn.ended"
    assert isinstance(failure.metadata["error"], OSError)
    assert bus.handler_ids() == ("test",)
    assert len(heard.of(TURN)) == 2


def test_a_disk_that_fills_up_midway_is_reported_while_the_others_hear_on(tmp_path: Path) -> None:
    bus, path = Bus(), tmp_path / "events.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    done = threading.Event()
    bus.attach("alarm", HANDLER_FAILED, lambda _event, _numbers, _about, alarm: alarm.set(), done)
    with record(bus, TURN) as heard, JsonLinesHandler(bus, path, interval_s=0.0) as lines:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        try:
            while not done.is_set():
                bus.execute(TURN, {"decode_s": 1.0}, {"model": "chat"})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    n_whole = path.read_text().count("\n")

    assert 0 < n_whole < len(heard.facts)
    assert path.stat().st_size == 4096
    assert lines.handler_id not in bus.handler_ids()


def test_a_file_that_cannot_be_opened_is_refused_at_once(tmp_path: Path) -> None:
    bus = Bus()
    with pytest.raises(ConfigError, match="No such file"):
        JsonLinesHandler(bus, tmp_path / "nowhere" / "events.jsonl")
    assert bus.handler_ids() == ()


def test_two_of_one_name_are_refused_and_nothing_stays_open(tmp_path: Path) -> None:
    bus = Bus()
    with JsonLinesHandler(bus, tmp_path / "a.jsonl"):
        with pytest.raises(ValueError, match="attached already"):
            JsonLinesHandler(bus, tmp_path / "b.jsonl")
        JsonLinesHandler(bus, tmp_path / "b.jsonl", handler_id="other").close()

    assert open_below(tmp_path) == []
