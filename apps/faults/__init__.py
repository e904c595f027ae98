"""Faults under load: every one is made on a running server, and what came of the requests meanwhile is counted."""
