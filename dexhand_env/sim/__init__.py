"""What steps physics: one contract, and the backends behind it."""
