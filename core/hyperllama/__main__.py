"""``python -m hyperllama`` is ``hyperllama-gateway``."""

from __future__ import annotations

from hyperllama.cli.main import main

if __name__ == "__main__":
    main()
