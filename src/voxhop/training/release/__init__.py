"""What a finished run leaves: model files, cards and curves."""
