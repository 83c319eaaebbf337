"""The access log: read, written, checked and made from other tools' files."""
