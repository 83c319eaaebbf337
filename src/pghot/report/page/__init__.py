"""The report: a result, or several, as one file of HTML that needs nothing else."""
