"""What is inside audio and video files, and how files come to be whole."""
