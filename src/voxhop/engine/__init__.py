"""Models at work: sessions, groups, and what they share."""
