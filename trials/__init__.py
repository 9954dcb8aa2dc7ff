"""What ``nnictl`` and the command line run: data, settings, one search, a whole experiment."""

from snas_nni.importing.own_packages import claim

claim("exports", "search_spaces")  # before anything here imports them; they are not imported yet
