"""A look at a folder, a bucket or a web server before it becomes a source: what would be ingested, and why."""
