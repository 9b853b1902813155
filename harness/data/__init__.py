"""Benchmark data files: finding, fetching, checking and reading them. The loaders in task files import these names:

from harness.data import read

rows = read("gsm8k_test", Path(__file__).parent, fields={"question": str, "answer": str})
"""

from harness.data.reading import DataRecord, Fields, check_fields, locate, read, read_items, read_json

__all__ = ["DataRecord", "Fields", "check_fields", "locate", "read", "read_items", "read_json"]
