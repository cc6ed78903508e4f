"""Content Credentials (C2PA): who signs, what is written into a video, and what is read from one."""
