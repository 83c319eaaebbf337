"""A simulated tiered machine: nodes, frames, links, reclaim, and what runs on it."""
