"""Engines that answer requests, behind the Protocol in `base`."""
