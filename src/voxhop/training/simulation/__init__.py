"""What microphones hear: echoes, noise, rooms, devices and damage."""
