"""`pghot top`: a run, a replay or a simulation as it goes, on a terminal."""
