"""Running one stage: its file checked, planned, trained by a library, and described in a manifest."""
