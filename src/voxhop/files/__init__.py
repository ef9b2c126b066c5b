"""Whole recordings, from files or arrays; `voxhop` itself has the functions."""
