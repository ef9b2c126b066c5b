"""Clips, loss and validation of Stream.FM."""
