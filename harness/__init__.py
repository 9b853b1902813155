"""stage-harness: which training stage, and which data, made this checkpoint better, and is the difference real?

Importing this package imports nothing heavy; each package below imports its libraries when they are used.
"""

__version__ = "0.1.0"
