"""Architecture files: the record of a child as JSON, checked against a schema, and the paper's published cells."""
