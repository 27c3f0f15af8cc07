"""``actorllama run``, with the embedded model."""

import json
import os
import signal
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from tests.cli.shell import TIMEOUT_S, Endless, Invoke, Spawn, Start, command_line

pytestmark = [pytest.mark.slow, pytest.mark.model]

LOGGED = ("--log-level", "debug", "--log-format", "json")


def test_one_reply_is_written_as_it_is(invoke: Invoke) -> None:
    done = invoke("run", "--temperature", "0", "What is 2 + 3?")
    assert (done.code, done.out) == (0, "2 + 3 = 5.\n")
    assert done.err.startswith("1 turn, ")
    assert len(done.err.splitlines()) == 1


def test_several_replies_stand_under_their_labels_in_the_order_of_the_prompts(invoke: Invoke) -> None:
    done = invoke("run", "--temperature", "0", "What is 2 + 3?", "Spell cat.")
    assert done.out == "[1] What is 2 + 3?\n2 + 3 = 5.\n\n[2] Spell cat.\nc a t\n"
    assert done.err.startswith("2 turns, ")


def test_more_prompts_than_sequences_wait_for_their_turn(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the engine's queue never overflows."""
    monkeypatch.setenv("ACTORLLAMA_ENGINE_QUEUE_CAPACITY", "1")
    done = invoke("run", "--temperature", "0", "--n-seq", "2", "--max-tokens", "2", *["Hello"] * 9)
    assert done.code == 0
    assert done.err.startswith("9 turns, 18 tokens ")


def test_a_seed_fixes_the_reply(invoke: Invoke) -> None:
    def reply(seed: str) -> str:
        return invoke("run", "--raw", "--temperature", "3", "--seed", seed, "--max-tokens", "12", "a").out

    assert reply("1") == reply("1") != reply("2")


def test_a_stop_string_ends_the_reply_before_it(invoke: Invoke) -> None:
    assert invoke("run", "--temperature", "0", "--stop", " = ", "What is 2 + 3?").out == "2 + 3\n"


def test_json_is_one_object_that_holds_everything(invoke: Invoke) -> None:
    done = invoke("run", "--json", "--temperature", "0", "--max-tokens", "3", "What is 2 + 3?", "Hello")
    assert done.out.count("\n") == 1
    answer = json.loads(done.out)

    assert [turn["prompt"] for turn in answer["turns"]] == ["What is 2 + 3?", "Hello"]
    assert [turn["finish_reason"] for turn in answer["turns"]] == ["length", "length"]
    assert [turn["usage"]["n_generated"] for turn in answer["turns"]] == [3, 3]
    assert answer["statistics"]["n_generated"] == 6
    assert answer["is_interrupted"] is False


def test_a_prompt_can_come_from_standard_input(invoke: Invoke) -> None:
    done = invoke("run", "--temperature", "0", "-", stdin=b"What is 2 + 3?\n")
    assert done.out == "2 + 3 = 5.\n"


def test_the_model_can_be_the_first_argument(invoke: Invoke, demo: Path) -> None:
    assert invoke("run", str(demo), "--temperature", "0", "What is 2 + 3?").out == "2 + 3 = 5.\n"


def test_a_sentence_that_ends_in_gguf_is_a_prompt(invoke: Invoke) -> None:
    assert invoke("run", "--max-tokens", "1", "what is model.gguf").code == 0


def test_one_prompt_that_fails_leaves_the_others_alone(invoke: Invoke) -> None:
    done = invoke("run", "--temperature", "0", "--ctx", "24", "What is 2 + 3?", "one two three " * 9)
    assert done.code == 2
    assert "2 + 3 = 5." in done.out
    assert "actorllama: prompt 2: the turn needs" in done.err


def test_a_reply_that_takes_too_long_is_given_up(invoke: Invoke, endless: Endless) -> None:
    done = invoke("run", endless.path, *endless.options, "--timeout", "0.05", "Hello")
    assert done.code == 1
    assert "did not end within 0.05 s" in done.err


def wait_until_it_decodes(process: subprocess.Popen[bytes]) -> None:
    """Read the log until the engine has taken a few steps."""
    assert process.stderr is not None
    steps = (line for line in process.stderr if b"engine.step" in line)
    assert len(list(islice(steps, 8))) == 8, "it ended too early"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_replies_and_keeps_what_was_said(
    start: Start, endless: Endless, number: signal.Signals, code: int
) -> None:
    process = start(*LOGGED, "run", endless.path, *endless.options, "Hello")
    wait_until_it_decodes(process)
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode == code
    assert out.decode().strip().startswith(endless.begins)
    assert b"0 of 1 turns, " in err.splitlines()[-1]
    assert b"Traceback" not in err


def test_a_second_ctrl_c_leaves_at_once(start: Start, endless: Endless) -> None:
    process = start(*LOGGED, "run", endless.path, *endless.options, "Hello")
    wait_until_it_decodes(process)
    process.send_signal(signal.SIGSTOP)  # however long it takes to send two: it meets them together
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # two equal signals may arrive as one
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=TIMEOUT_S)

    assert process.returncode in (130, 143)
    assert out == b""
    assert b"turns, " not in err


def test_a_reader_that_goes_away_ends_it_quietly() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        command_line("run", "Hello", "Hi"),
        stdout=write_end,
        stderr=subprocess.PIPE,
        timeout=TIMEOUT_S,
        check=False,
    )
    os.close(write_end)
    assert done.returncode == 141
    assert done.stderr == b""


def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command_line("run", "Hello"), stdout=full, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False
        )
    assert done.returncode == 1
    assert done.stderr == b"actorllama: No space left on device\n"


def test_nothing_but_text_goes_to_a_pipe(spawn: Spawn) -> None:
    """Also where a variable asks for colours."""
    done = spawn("run", "Hello", "Hi", env={"FORCE_COLOR": "1", "TERM": "xterm-256color"})
    assert done.code == 0
    assert "\x1b" not in done.out + done.err
