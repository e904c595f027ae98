"""Tests of optional extras, each run in an environment of its own; `make test` does not collect them."""
