"""Perf events: encodings, rings, and samples decoded out of them."""
