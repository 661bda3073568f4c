"""Keys of records: the SHA-256 of the canonical JSON of all that may change their numbers."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

PROTOCOL_VERSION = 1
SCHEMA_VERSION = 1


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys, no blanks and no NaN: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of `value`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def now() -> str:
    """Return the present time, UTC, to the second, as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")
