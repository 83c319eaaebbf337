"""What others see of a run while it runs: each file one way in, all of them by the desk."""
