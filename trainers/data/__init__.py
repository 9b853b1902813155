"""From sources to tokens: readers, records, mixtures with their ledger, and the stream that a trainer reads."""
