"""``actorllama console``: a conversation that one likes to stay in, and the runtime seen from inside.

**What lives here.** Values: ``lines.py`` (what a line asks for), ``talk.py`` (one conversation),
``session.py`` (several side by side), ``settings.py`` (``/set``), ``talk_file.py`` and ``store.py`` (files).
The shell around them: ``desk.py`` (the one owner of it all), ``reply.py`` (take a turn), ``commands.py``
(the table) with the handlers in ``*_commands.py``. Where it is shown: ``plain_front.py`` (pipes and
scripts), ``terminal_front.py`` with ``keyboard.py``, ``completing.py`` and ``markdown_stream.py``.

**Who owns it and what always holds.** The desk's one task changes the session; fronts show and read. A
conversation is a value: to undo, to fork and to go on after a restart are the same thing, an older value.
What was said is on disk before the next line is read, and never over what another console has said.

**Read next.** ``talk.py``, then ``commands.py``, then ``desk.py``.
"""
