"""Results as tables and sentences, and the formats that they are written in."""
