"""Many small objects of one folder in few files: tar archives with an index, of bounded size, packed by name."""
