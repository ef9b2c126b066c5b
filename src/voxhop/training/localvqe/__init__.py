"""Loss and validation of LocalVQE."""
