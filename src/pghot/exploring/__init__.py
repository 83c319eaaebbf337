"""Many runs, and what they say together: curves, sweeps, advice."""
