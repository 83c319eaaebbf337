"""The package and its unit under a real systemd: a root file system, a guest, its checks."""
