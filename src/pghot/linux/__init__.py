"""A Linux host: everything that touches one goes through `host.Host`."""
