"""What happened, told to others: the outbox, webhooks to endpoints, and the audit log."""
