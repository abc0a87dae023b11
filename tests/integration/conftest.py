import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from fixtures import authority, backends, fresh_gateway, listener, start_gateway  # noqa: E402,F401
