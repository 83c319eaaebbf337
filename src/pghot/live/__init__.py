"""The engine on a live host: its loop on a real clock, its machine, what came of it."""
