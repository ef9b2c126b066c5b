"""Recordings, voices and rooms that clips are made of."""
