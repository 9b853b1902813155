"""Where a benchmark's files come from, and that each is the file that was meant. Task files import these names."""

from harness.data.reading import DataRecord, Fields, check_fields, locate, read, read_items, read_json

__all__ = ["DataRecord", "Fields", "check_fields", "locate", "read", "read_items", "read_json"]
