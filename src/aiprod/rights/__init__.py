"""What is said about the rights to a film: words, tables and embedded statements, read into one record."""
