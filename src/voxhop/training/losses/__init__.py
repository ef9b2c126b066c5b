"""What several models learn by: spectra and discriminators."""
