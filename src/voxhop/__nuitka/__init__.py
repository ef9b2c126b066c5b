"""What Nuitka needs to know to compile a program with voxhop in it."""
