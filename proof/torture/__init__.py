"""A real stack of processes under traffic, killed with SIGKILL at random moments, and the look at what is left."""
