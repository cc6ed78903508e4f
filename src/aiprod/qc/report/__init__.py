"""The report page of quality control, and its metrics."""
