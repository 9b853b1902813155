"""What records say: comparisons, ranks, lineage, differences by task; numbers, no words and no drawings."""
