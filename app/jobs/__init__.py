"""Jobs: the loop that claims due work, and the queue that wakes it."""
