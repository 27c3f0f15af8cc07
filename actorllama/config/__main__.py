"""``python -m actorllama.config > config/default.toml`` writes the defaults down."""

from __future__ import annotations

import sys

from actorllama.config.render import render_default_toml

sys.stdout.write(render_default_toml())
