"""Legal documents written from the manifests; each figure carries the query that yields it."""
