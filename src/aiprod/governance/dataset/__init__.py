"""Facts about a dataset version: records, queries, statistics, differences, audit events."""
