"""stage-harness: which training stage, and which data, made this checkpoint better, and is the difference real?

Importing this package imports nothing heavy; each room imports its libraries when it is used.
"""

__version__ = "0.1.0"
