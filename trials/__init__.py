"""What ``nnictl`` and the command line run: data, settings, one search, a whole experiment."""
