"""The console: server-rendered pages for reviewers, operators and analysts."""
