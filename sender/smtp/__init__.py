"""Mail out: connections that are reused, servers that fail over, and what their replies mean.

Knows nothing of jobs: an envelope goes in, an outcome comes out.
"""
