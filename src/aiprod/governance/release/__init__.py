"""Signed copies of generated clips, with Content Credentials."""
