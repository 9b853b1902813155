"""Check a safetensors file by its header and size alone, so that a truncated download is seen in a millisecond.

Format: 8 bytes little-endian header length N, N bytes of JSON ``{name: {dtype, shape, data_offsets: [begin, end]}}``,
then the data (https://github.com/huggingface/safetensors, README "Format").
"""

from __future__ import annotations

import json
from pathlib import Path

from harness.errors import CheckpointError

MAX_HEADER_BYTES = 100_000_000  # the reference implementation's own limit


def check_safetensors(path: Path) -> None:
    """Check that the header parses and that the file is exactly as long as the header says.

    Raises:
        CheckpointError: naming the file and what is wrong with it.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
                raise CheckpointError(_damaged(path, f"the header should take {length:,} bytes of {size:,}"))
            header = json.loads(file.read(length))
        ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); check the file and its permissions."
        ) from None
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise CheckpointError(_damaged(path, "its header is not a safetensors header")) from None
    expected = 8 + length + max(ends, default=0)
    if not ends or size != expected:
        raise CheckpointError(_damaged(path, f"{size:,} bytes long, its header says {expected:,}"))


def _damaged(path: Path, how: str) -> str:
    return f"{path}: damaged or cut off ({how}); copy or download the file again."
