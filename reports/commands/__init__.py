"""The commands `compare` and `leaderboard`; the command line finds them by entry points of `harness.commands`."""
