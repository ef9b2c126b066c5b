"""What a hop and a machine cost and do, measured."""
