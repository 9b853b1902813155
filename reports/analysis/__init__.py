"""Numbers from records: comparisons, ranks, lineage. No tables, no drawings, no files."""
