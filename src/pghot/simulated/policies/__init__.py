"""What is compared: each policy in a file of its own, named in `registry`."""
