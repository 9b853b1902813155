"""What runs inside the sandbox, with the standard library alone: server, solution side, tests' side, wire."""
