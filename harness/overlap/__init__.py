"""Which items of a task occur in training data: n-gram overlap, as contamination studies measure it.

    items = items_of(loaded.tasks)                       # `items`: the texts of each item, from the task's documents
    index = ItemIndex(items, NgramSizes())               # `index`: hashes of their n-grams, sorted
    for stream in open_streams(["stage.yaml"]):          # `streams`: training text by source, found by an entry point
        overlap = scan(stream, index)                    # `scanning`: which items, and where

`letters` reduces a text to its letters, digits and words; `windows` finds the n-grams of one length. Memory is bounded
by the items, not by the training data. Every reported match was compared letter by letter; a hash alone is no match.
docs/overlap.md states the rules and their sources.
"""
