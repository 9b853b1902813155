"""The parts of the stage `average`: its stage file, the checkpoints, the tensors, the output folder.

spec          the stage file, and the weight of each checkpoint in the average
members       the checkpoints: finding, verifying and ordering them
agreement     whether they are of one model: configuration, tokenizer
tensors       the tensors in their files, and whether all checkpoints have the same
writing       the averaged tensors, one at a time, into new files
output        the output folder and its manifest
merge         a command that merges an adapter, because adapters cannot be averaged
"""
