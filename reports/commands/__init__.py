"""The commands `compare` and `leaderboard`, found by `harness.commands` entry points."""
