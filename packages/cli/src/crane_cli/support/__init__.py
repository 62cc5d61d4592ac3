"""What `crane support-bundle` gathers, and what it takes out of that."""
