"""``python -m actorllama`` is the command ``actorllama``."""

from __future__ import annotations

import sys

from actorllama.cli import main

sys.exit(main())
