"""Access streams: which page each next access of a group of threads takes.

A stream has a clock that counts accesses, of all threads that draw from it.  It is advanced
in bulk: what it costs follows the pages that are looked at (prot_none, sampled, visited by
reclaim), not the number of accesses.
"""
