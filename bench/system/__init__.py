"""The whole system beside what others would build, on one PostgreSQL in the same minutes: `make bench`."""
