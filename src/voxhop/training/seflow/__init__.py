"""Loss, validation and cases of SEFlow."""
