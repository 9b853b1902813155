"""Tasks by name: the catalogue, what of it can run here, its items, filters and metrics."""
