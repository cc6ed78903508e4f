"""What is installed beside this package: a bill of materials of it, and what is known against it."""
