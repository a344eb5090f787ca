"""Who may do what: merchants, users, roles, passwords, sessions and keys."""
