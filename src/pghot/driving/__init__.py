"""Driving the engine, in a replay as on a host: rows up to an instant, then a wake-up."""
