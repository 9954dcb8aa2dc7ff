"""How names are found: when they are first asked for, and ours beside a user's own folders."""
