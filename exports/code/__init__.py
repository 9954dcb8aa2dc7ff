"""A network as Python source that needs torch alone."""
