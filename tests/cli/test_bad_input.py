"""Fifty kinds of bad input: exit code 2, one clear line that names the value, and the next command works."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from attrs import field, frozen

from actorllama.demo import model_path
from tests.cli.shell import Invoke, Spawn, demo_with_template

Content = bytes | Callable[[Path], object]
"""What a file holds, or who makes it."""

DEMO = model_path().read_bytes()


def gguf(**metadata: str) -> bytes:
    """Write a GGUF file that has strings as metadata and no tensors."""
    entries = b"".join(
        text(key.replace("__", ".")) + struct.pack("<I", 8) + text(value) for key, value in metadata.items()
    )
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(metadata)) + entries


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


def demo_with(old: bytes, new: bytes) -> bytes:
    assert len(old) == len(new)
    assert DEMO.count(old) >= 1
    return DEMO.replace(old, new, 1)


@frozen(kw_only=True)
class Bad:
    """A bad command line: what it is given, and what its one line must say. ``@`` is the test's folder."""

    argv: tuple[str, ...]
    says: str
    files: Mapping[str, Content] = field(default=MappingProxyType[str, Content]({}))
    env: Mapping[str, str] = field(default=MappingProxyType[str, str]({}))
    stdin: bytes = b""


def file(content: Content, says: str) -> Bad:
    return Bad(argv=("info", "@/bad.gguf"), says=says, files={"bad.gguf": content})


def option(name: str, value: str, says: str) -> Bad:
    return Bad(argv=("run", f"{name}={value}", "hi"), says=says)


def toml(content: bytes, says: str) -> Bad:
    return Bad(argv=("--config", "@/bad.toml", "config"), says=says, files={"bad.toml": content})


BAD: dict[str, Bad] = {
    # -- model files ---------------------------------------------------------------------------
    "a file that is not there": Bad(argv=("info", "@/none.gguf"), says="none.gguf: there is no such file"),
    "a model that is not there": Bad(argv=("run", "-m", "@/none.gguf", "hi"), says="there is no such file"),
    "a MODEL that is not there": Bad(
        argv=("run", "none.gguf", "hi"), says="none.gguf: there is no such file"
    ),
    "a chat with nobody": Bad(argv=("chat", "@/none.gguf"), says="there is no such file"),
    "a bench of nothing": Bad(argv=("bench", "decode", "-m", "@/none.gguf"), says="there is no such file"),
    "a directory": Bad(argv=("info", "@"), says="it is a directory"),
    "a path with a zero byte": Bad(argv=("info", "a\0b.gguf"), says="this is no possible path"),
    "a path that is too long": Bad(argv=("info", "x" * 5000), says="File name too long"),
    "a pipe": file(os.mkfifo, "it is not a regular file"),
    "a dangling link": file(lambda path: path.symlink_to("nowhere"), "there is no such file"),
    "a file that may not be read": file(lambda path: path.touch(mode=0), "it may not be read"),
    "an empty file": file(b"", "the file is empty"),
    "a text file": file(b"Once upon a time\n", "it is not a GGUF file"),
    "a web page": file(b"<!DOCTYPE html>", "looks like a web page"),
    "a git-lfs pointer": file(b"version https://git-lfs.github.com/spec/v1\n", "git-lfs pointer"),
    "a flipped magic": file(b"FUGG" + DEMO[4:], "it is not a GGUF file"),
    "a version from the future": file(DEMO[:4] + b"\x63\0\0\0" + DEMO[8:], "GGUF version 99"),
    "a big-endian file": file(DEMO[:4] + b"\0\0\0\x03" + DEMO[8:], "big-endian"),
    "an absurd tensor count": file(DEMO[:8] + b"\xff" * 8 + DEMO[16:], "18446744073709551615 tensors"),
    "an absurd key count": file(DEMO[:16] + b"\xff" * 8 + DEMO[24:], "18446744073709551615 keys"),
    "cut in the magic": file(DEMO[:3], "it is not a GGUF file"),
    "cut in the counts": file(DEMO[:14], "bad.gguf"),
    "cut in the metadata": file(DEMO[:300], "bad.gguf"),
    "cut in the vocabulary": file(DEMO[:6000], "bad.gguf"),
    "cut in the weights": file(DEMO[:-1], "the file ends 1 bytes before the end of tensor"),
    "an unknown architecture": file(gguf(general__architecture="nonesuch"), "'nonesuch' is not known"),
    "an encoder": file(gguf(general__architecture="bert"), "'bert'"),
    "an adapter": file(gguf(general__type="adapter", general__architecture="llama"), "adapter (LoRA)"),
    "a projector": file(gguf(general__type="mmproj", general__architecture="clip"), "multimodal"),
    "no architecture": file(gguf(general__name="x"), "it does not name its architecture"),
    "no weights": file(gguf(general__architecture="llama"), "it holds no weights"),
    "layers beyond counting": file(
        demo_with(b"block_count" + struct.pack("<II", 4, 4), b"block_count" + struct.pack("<II", 4, 9999)),
        "block_count is 9999",
    ),
    "a folder of models that is not there": Bad(argv=("models", "@/none"), says="there is no such directory"),
    # -- numbers -------------------------------------------------------------------------------
    "temperature below 0": option("--temperature", "-1", "temperature = -1.0"),
    "temperature nan": option("--temperature", "nan", "temperature = nan"),
    "temperature inf": option("--temperature", "inf", "temperature = inf"),
    "temperature in words": option("--temperature", "hot", "'hot'"),
    "top_p 0": option("--top-p", "0", "top_p = 0.0"),
    "top_p above 1": option("--top-p", "1.5", "top_p = 1.5"),
    "top_p nan": option("--top-p", "nan", "top_p = nan"),
    "min_p below 0": option("--min-p", "-0.1", "min_p = -0.1"),
    "min_p above 1": option("--min-p", "2", "min_p = 2.0"),
    "top_k below 0": option("--top-k", "-5", "top_k = -5"),
    "top_k beyond any vocabulary": option("--top-k", str(2**70), f"top_k = {2**70}"),
    "top_k with a fraction": option("--top-k", "1.5", "'1.5'"),
    "seed below 0": option("--seed", "-1", "seed = -1"),
    "seed beyond 64 bits": option("--seed", str(2**70), f"seed = {2**70}"),
    "seed in words": option("--seed", "lucky", "'lucky'"),
    "no tokens": option("--max-tokens", "0", "max_tokens = 0"),
    "tokens below 0": option("--max-tokens", "-1", "max_tokens = -1"),
    "too many tokens": option("--max-tokens", str(10**12), f"max_tokens = {10**12}"),
    "no time": option("--timeout", "0", "timeout_s = 0.0"),
    "negative time": option("--timeout", "-1", "timeout_s = -1.0"),
    "time without end": option("--timeout", "inf", "timeout_s = inf"),
    "time that is no number": option("--timeout", "nan", "timeout_s = nan"),
    "no sequence": option("--n-seq", "0", "n_seq = 0"),
    "too many sequences": option("--n-seq", "1000", "n_seq = 1000"),
    "no context": option("--ctx", "0", "ctx_per_seq = 0"),
    "a context beyond any bound": option("--ctx", str(10**12), f"ctx_per_seq = {10**12}"),
    "a context beyond the memory": option("--ctx", str(1 << 24), f"ctx_per_seq = {1 << 24}"),
    "threads below 0": option("--threads", "-1", "n_threads = -1"),
    "too many threads": option("--threads", "100000", "n_threads = 100000"),
    "a bench of no turns": Bad(argv=("bench", "decode", "-n", "0"), says="n = 0"),
    "a bench of no rounds": Bad(argv=("bench", "decode", "--rounds", "0"), says="rounds = 0"),
    "a bench of no tokens": Bad(argv=("bench", "decode", "--tokens", "0"), says="tokens = 0"),
    "a shape that nobody knows": Bad(argv=("bench", "decode", "--shape", "70b"), says="'70b'"),
    "a model and a shape": Bad(
        argv=("bench", "decode", "-m", "x.gguf", "--shape", "15m"), says="either a model or a shape"
    ),
    # -- words ---------------------------------------------------------------------------------
    "an empty stop string": option("--stop", "", "stop = ''"),
    "no prompt": Bad(argv=("run",), says="'PROMPT...'"),
    "a model and no prompt": Bad(argv=("run", str(model_path())), says="'PROMPT...'"),
    "an empty prompt": Bad(argv=("run", ""), says="prompt = ''"),
    "an empty prompt among others": Bad(argv=("run", "hi", ""), says="prompt = ''"),
    "an empty standard input": Bad(argv=("run", "-"), says="prompt = ''"),
    "standard input twice": Bad(argv=("run", "-", "-"), says="read only once"),
    "bytes that are no text": Bad(argv=("run", "-"), stdin=b"abc\xff\xfe", says="not UTF-8 at byte 3"),
    "an argument that is no text": Bad(argv=("run", "abc\udcff"), says="not UTF-8 at character 3"),
    "a line that is no text": Bad(argv=("chat",), stdin=b"\xff\n", says="not UTF-8 at byte 0"),
    "an empty system message": Bad(argv=("chat", "--system", ""), says="system = ''"),
    "a prompt longer than the context": Bad(
        argv=("run", "--ctx", "8", "one two three four five six seven"), says="a sequence holds 8"
    ),
    "a template that refuses": Bad(
        argv=("run", "-m", "@/bad.gguf", "hi"),
        files={"bad.gguf": demo_with_template("{{ raise_exception('nobody may speak') }}")},
        says="nobody may speak",
    ),
    "a template that is none": Bad(
        argv=("run", "-m", "@/bad.gguf", "hi"),
        files={"bad.gguf": demo_with_template("{% for %}")},
        says="chat template",
    ),
    "a chat without a template": Bad(
        argv=("chat", "@/bad.gguf"),
        files={"bad.gguf": demo_with(b"tokenizer.chat_template", b"tokenizer.chat_templatX")},
        says="bad.gguf has none",
    ),
    # -- configuration -------------------------------------------------------------------------
    "a configuration that is not there": Bad(argv=("--config", "@/none.toml", "config"), says="none.toml"),
    "a configuration that is a directory": Bad(argv=("--config", "@", "config"), says="Is a directory"),
    "no TOML": toml(b"[telemetry\n", "Not TOML"),
    "TOML that is no text": toml(b"\xff\xfe", "Not TOML"),
    "an unknown section": toml(b"[telemetri]\nlog_level = 'info'\n", "telemetri"),
    "an unknown key": toml(b"[telemetry]\nlog_levle = 'info'\n", "Did you mean log_level?"),
    "a value of the wrong type": toml(b"[context]\nn_seq = 'eight'\n", "'eight'"),
    "a value out of bounds": toml(b"[context]\nn_seq = 0\n", "n_seq = 0"),
    "a key without a section": toml(b"n_seq = 8\n", "Put it under a [section]"),
    "a variable for nothing": Bad(
        argv=("config",), env={"ACTORLLAMA_NONE_SUCH": "1"}, says="ACTORLLAMA_NONE_SUCH"
    ),
    "a variable out of bounds": Bad(
        argv=("config",), env={"ACTORLLAMA_CONTEXT_N_SEQ": "0"}, says="ACTORLLAMA_CONTEXT_N_SEQ"
    ),
    "a variable that is no number": Bad(
        argv=("config",), env={"ACTORLLAMA_ENGINE_QUEUE_CAPACITY": "many"}, says="'many'"
    ),
    # -- the command line ----------------------------------------------------------------------
    "an unknown command": Bad(argv=("fly",), says="'fly'"),
    "an unknown option": Bad(argv=("run", "--hot", "hi"), says="'--hot'"),
    "an unknown global option": Bad(argv=("--hot", "run", "hi"), says="'--hot'"),
    "an option without its value": Bad(argv=("run", "--seed"), says="'--seed'"),
    "an unknown log level": Bad(argv=("--log-level", "loud", "config"), says="'loud'"),
    "an unknown log format": Bad(argv=("--log-format", "xml", "config"), says="'xml'"),
    "an argument too many": Bad(argv=("info", "a.gguf", "b.gguf"), says="b.gguf"),
}

IN_PROCESSES = (
    "a directory",
    "cut in the weights",
    "top_p 0",
    "bytes that are no text",
    "a line that is no text",
    "an argument that is no text",
    "a prompt longer than the context",
    "a variable for nothing",
    "an unknown command",
)
LOADS_A_MODEL = ("a prompt longer than the context", "a template that refuses", "a template that is none")
NEEDS_A_DESCRIPTOR = ("a line that is no text",)


def prepared(bad: Bad, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make the files, set the variables, and give the arguments."""
    monkeypatch.chdir(folder)
    for name, content in bad.files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            content(folder / name)
    for name, value in bad.env.items():
        monkeypatch.setenv(name, value)
    return [word.replace("@", str(folder)) for word in bad.argv]


def skip_if_root_may(name: str) -> None:
    if name == "a file that may not be read" and os.geteuid() == 0:
        pytest.skip("root may read anything")


def test_there_are_fifty_kinds_at_least() -> None:
    assert len(BAD) >= 50
    assert set(IN_PROCESSES) <= set(BAD)
    assert set(NEEDS_A_DESCRIPTOR) <= set(IN_PROCESSES)
    assert set(LOADS_A_MODEL) <= set(BAD)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LOADS_A_MODEL)) for name in BAD]
)
def test_bad_input_is_one_line_and_code_2_and_the_next_command_works(
    name: str, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_if_root_may(name)
    if name in NEEDS_A_DESCRIPTOR:
        pytest.skip("reads the descriptor of standard input; the next test runs it")
    bad = BAD[name]
    done = invoke(*prepared(bad, tmp_path, monkeypatch), stdin=bad.stdin)

    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1, done.err
    assert done.err.startswith("actorllama: ")
    assert bad.says in done.err

    for variable in bad.env:
        monkeypatch.delenv(variable)
    assert invoke("info", "--json").code == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", IN_PROCESSES)
def test_a_shell_sees_the_same(
    name: str, spawn: Spawn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = BAD[name]
    done = spawn(*prepared(bad, tmp_path, monkeypatch), stdin=bad.stdin)

    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1, done.err
    assert bad.says in done.err
    assert "\x1b" not in done.err


@pytest.mark.slow
@pytest.mark.model
def test_after_bad_input_the_next_turn_works(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the same process, after inputs that were refused before, while and after a model was loaded."""
    for name in ("cut in the weights", "no sequence", "a prompt longer than the context"):
        assert invoke(*prepared(BAD[name], tmp_path, monkeypatch)).code == 2
    done = invoke("run", "--temperature", "0", "What is 2 + 3?")
    assert (done.code, done.out) == (0, "2 + 3 = 5.\n")
