"""What a result says of itself: where it comes from, and whether promotion paid."""
