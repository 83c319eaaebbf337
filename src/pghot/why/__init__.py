"""Answers from an event log: the life of one page, and what was refused over a run."""
