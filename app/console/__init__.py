"""The console: server-rendered pages for reviewers, operators, analysts and administrators."""
