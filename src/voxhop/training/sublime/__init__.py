"""Shapes, clips, loss and validation of Sublime."""
