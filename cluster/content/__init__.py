"""Vectors of pins, and the exact search among them. NumPy and numba; knows nothing of catalogs, requests or Ray."""
