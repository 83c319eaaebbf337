"""Where accesses come from; one file each."""
