"""What was fetched before: pages by RFC 9111, files by what they hash to, for one user."""
