"""Malformed files of every type that a command reads: exit code 2, one line that names the file, nothing written."""
