"""The simulated machine: nodes, frames, folios, reclaim, and links with their costs."""
