"""actorllama runs llama.cpp from Python under Erlang-style supervision."""
