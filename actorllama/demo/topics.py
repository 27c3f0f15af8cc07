"""Fixed questions and answers: this library and Erlang, one short answer each.

A topic has *subjects* (noun phrases, put into frames such as "What is ...?") or *clauses* (asked as they
are, put into frames such as "Can you tell me ...?"). The same word never has two answers.
"""

from attrs import frozen

__all__ = ["ERLANG_TOPICS", "LIBRARY_TOPICS", "Topic"]


@frozen(kw_only=True)
class Topic:
    """A short answer and all the ways to name what it answers."""

    answer: str
    subjects: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()


def _about(answer: str, *subjects: str) -> Topic:
    return Topic(answer=answer, subjects=subjects)


def _asked(answer: str, *clauses: str) -> Topic:
    return Topic(answer=answer, clauses=clauses)


LIBRARY_TOPICS: tuple[Topic, ...] = (
    _about(
        "actorllama runs llama.cpp under Erlang-style supervision in Python.", "actorllama", "this library"
    ),
    _about("An actor owns its state, reads one mailbox and talks only by messages.", "an actor", "actors"),
    _about(
        "The model actor owns one loaded model, its context and its slots.",
        "the model actor",
        "a model actor",
    ),
    _about(
        "A supervisor starts its children, watches them and restarts them when they crash.",
        "a supervisor",
        "supervisors",
    ),
    _about(
        "A supervision tree is a tree of supervisors with workers as leaves.",
        "a supervision tree",
        "the supervision tree",
    ),
    _about(
        "A mailbox is a bounded queue of messages that one actor reads.",
        "a mailbox",
        "the mailbox",
        "mailboxes",
    ),
    _about(
        "The KV cache keeps the keys and values of past tokens, so a prefix is not computed again.",
        "the KV cache",
        "a KV cache",
        "KV caching",
    ),
    _about("A sequence is one stream of tokens inside a llama.cpp context.", "a sequence", "sequences"),
    _about("A slot is a lease on one sequence id.", "a slot", "slots"),
    _about("A cell is one KV position inside llama.cpp.", "a cell", "cells"),
    _about(
        "A block is a fixed run of tokens whose KV rows are stored and shared as a unit.", "a block", "blocks"
    ),
    _about("A prefix is the leading part of a list of tokens.", "a prefix", "prefixes"),
    _about("Prefill processes the tokens of the prompt.", "prefill", "prefilling"),
    _about("Decoding produces new tokens, one step at a time.", "decoding", "decode"),
    _about("A batch is the set of tokens of one step.", "a batch", "batches"),
    _about("A turn is one request and its completed reply.", "a turn", "turns"),
    _about("A conversation is a chain of turns that share a prefix.", "a conversation", "conversations"),
    _about(
        "A snapshot is the saved state at a turn boundary: KV, tokens, sampler and random generator.",
        "a snapshot",
        "snapshots",
    ),
    _about("A fingerprint is a hash that names a model file or a layout.", "a fingerprint", "fingerprints"),
    _about("A tier is a place where snapshots live, such as RAM or disk.", "a tier", "tiers", "cache tiers"),
    _about("Pinned entries are never evicted.", "pinning", "a pin", "a pinned entry"),
    _about("Eviction removes an entry from the cache to make room.", "eviction", "evicting"),
    _about("To demote is to move an entry to a cheaper tier.", "demotion", "demoting"),
    _about("To promote is to move an entry to a faster tier.", "promotion", "promoting"),
    _about(
        "Exactness tells whether a resumed turn equals the unbroken run: exact, faithful or recomputed.",
        "exactness",
        "the exactness level",
        "exactness levels",
    ),
    _about("Exact means that the tokens are those of the unbroken run.", "exact", "the exact level"),
    _about(
        "Faithful means that the restored bytes are identical, but later logits may differ in the last bits.",
        "faithful",
        "the faithful level",
    ),
    _about(
        "Recomputed means that the state was gone and the prefix was computed again.",
        "recomputed",
        "the recomputed level",
    ),
    _about(
        "The canary is a test at load time that decides which exactness level holds.",
        "the canary",
        "a canary",
    ),
    _about(
        "Telemetry sends what happens as events with measurements and metadata.",
        "telemetry",
        "telemetry events",
    ),
    _about("A handler is a function that receives events.", "a handler", "handlers"),
    _about("A span is a pair of events around one piece of work.", "a span", "spans"),
    _about("Memory pressure is memory used divided by its limit.", "memory pressure", "pressure"),
    _about("Watermarks are the two pressure thresholds, one high and one low.", "a watermark", "watermarks"),
    _about(
        "A resume key names a saved conversation, so that it can go on later.",
        "a resume key",
        "the resume key",
    ),
    _about(
        "The engine host is the thread that does all decoding on the CPU.",
        "the engine host",
        "an engine host",
    ),
    _about("llama.cpp is a C++ library that runs language models.", "llama.cpp"),
    _about("trio is a Python library for structured concurrency.", "trio"),
    _about("GGUF is the file format of llama.cpp models.", "GGUF", "a GGUF file"),
    _about("The runtime opens the tree, loads models and takes turns.", "the runtime", "a runtime"),
    _about("A token is a number in the vocabulary of a model.", "a token", "tokens"),
    _about("A sampler chooses the next token from the logits.", "a sampler", "samplers"),
    _about("A seed makes sampling repeatable.", "a seed", "the seed"),
    _about(
        "Temperature controls how random sampling is. At zero the best token always wins.",
        "temperature",
        "the temperature",
    ),
    _about(
        "In the isolated layout every sequence has its own KV stream.",
        "the isolated layout",
        "isolated layout",
    ),
    _about(
        "In the shared layout sequences can share live prefix cells.", "the shared layout", "shared layout"
    ),
    _about("I am a tiny demo model, made to try out actorllama.", "the demo model", "this demo model"),
    _asked(
        "I am a tiny demo model, made to try out actorllama.", "who are you", "what are you", "who I talk to"
    ),
    _asked(
        "I can greet, add, count, spell, reverse words, remember your name and explain actorllama.",
        "what can you do",
        "what you can do",
        "how can you help me",
    ),
    _asked(
        "Open a runtime and call rt.load with a name and a path.",
        "how do I load a model",
        "how to load a model",
        "how a model is loaded",
    ),
    _asked(
        "Keep its resume key and call model.resume with it.",
        "how do I resume a conversation",
        "how to resume a conversation",
        "how a conversation is resumed",
    ),
    _asked(
        "Nothing is lost but time: the prefix is computed again.",
        "what happens when the cache is deleted",
        "what happens if I delete the cache",
    ),
    _asked(
        "The supervisor rebuilds it, and the next turn resumes from the last turn boundary.",
        "what happens when a model crashes",
        "what happens if the model crashes",
    ),
    _asked(
        "A damaged entry is a miss, an event and a quarantined file.",
        "what happens to a damaged entry",
        "what happens with a damaged cache entry",
    ),
)

ERLANG_TOPICS: tuple[Topic, ...] = (
    _about("Erlang is a language for concurrent systems that keep running.", "Erlang", "the Erlang language"),
    _about("OTP is the set of libraries and design principles that come with Erlang.", "OTP", "Erlang OTP"),
    _about("The BEAM is the virtual machine that runs Erlang.", "the BEAM", "BEAM"),
    _about(
        "A process is a light, isolated thread of control with its own mailbox.",
        "a process",
        "processes",
        "an Erlang process",
    ),
    _about(
        "A link ties the fates of two processes: when one dies, the other gets an exit signal.",
        "a link",
        "links",
        "linking",
    ),
    _about(
        "A monitor is one-way: the watcher gets a Down message when the other process dies.",
        "a monitor",
        "monitors",
        "monitoring",
    ),
    _about(
        "A gen_server is a process that answers calls and casts with a state.", "a gen_server", "gen_server"
    ),
    _about("A gen_statem is a process written as a state machine.", "a gen_statem", "gen_statem"),
    _about(
        "Let it crash means: do not repair a doubtful state, let a supervisor restart the process.",
        "let it crash",
        "the let it crash idea",
    ),
    _about(
        "Restart intensity limits how many restarts a supervisor allows within a period.",
        "restart intensity",
        "the restart intensity",
    ),
    _about(
        "With one_for_one only the crashed child is restarted.", "one_for_one", "the one_for_one strategy"
    ),
    _about(
        "With one_for_all all children are restarted when one crashes.",
        "one_for_all",
        "the one_for_all strategy",
    ),
    _about(
        "With rest_for_one the crashed child and those started after it are restarted.",
        "rest_for_one",
        "the rest_for_one strategy",
    ),
    _about(
        "A child spec tells a supervisor how to start, stop and restart a child.",
        "a child spec",
        "child specs",
    ),
    _about("A permanent child is always restarted.", "a permanent child", "permanent"),
    _about("A transient child is restarted only after an abnormal exit.", "a transient child", "transient"),
    _about("A temporary child is never restarted.", "a temporary child", "temporary"),
    _about("An exit signal tells linked processes why a process ended.", "an exit signal", "exit signals"),
    _about("A process that traps exits gets exit signals as messages.", "trapping exits", "trap_exit"),
    _about("A pid is the identity of a process.", "a pid", "pids"),
    _about("A call sends a request and waits for the reply.", "a call", "calls"),
    _about("A cast sends a message and does not wait for a reply.", "a cast", "casts"),
    _about("A behaviour is a common pattern with callbacks to fill in.", "a behaviour", "behaviours"),
    _about("The registry maps names to processes.", "the registry", "a registry"),
    _about("An atom is a constant whose value is its name.", "an atom", "atoms"),
    _about("ETS is the in-memory term storage of Erlang.", "ETS", "an ETS table"),
    _about("A node is a running Erlang system that can talk to others.", "a node", "nodes"),
    _about(
        "A Down message tells a monitor that a process ended, and why.", "a Down message", "Down messages"
    ),
    _about("Selective receive takes the first message that matches a pattern.", "selective receive"),
    _about("Message passing is how processes talk: they share no memory.", "message passing"),
    _about("Hot code loading replaces code while the system runs.", "hot code loading"),
    _about("Elixir is a language on the BEAM.", "Elixir", "the Elixir language"),
    _asked(
        "Joe Armstrong, Robert Virding and Mike Williams made Erlang at Ericsson.",
        "who made Erlang",
        "who created Erlang",
        "who invented Erlang",
    ),
)
