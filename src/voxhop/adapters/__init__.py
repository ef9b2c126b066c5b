"""voxhop in the places of other libraries: one module per framework, each imported by name.

Importing voxhop loads none of them, and each loads its framework only when it is imported.
"""
