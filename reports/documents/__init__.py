"""Tables and notes, and the formats they are written in."""
