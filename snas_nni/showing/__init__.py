"""What objects show of themselves to people: tables in a notebook, and the call that made them."""
