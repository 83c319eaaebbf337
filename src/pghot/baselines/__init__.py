"""What placements without promotion would have served fast, from one pass over a log."""
