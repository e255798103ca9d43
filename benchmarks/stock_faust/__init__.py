"""The job of freshrec in the way that Faust's own documentation would write it.

Windows, transitions, graph, popularity and lists, with tables and their changelogs, agents that
call each other through topics, and a sink for the lists. Clicks are decoded as freshrec decodes
them, so that what differs is delivery alone.
"""

NAME = "stock-faust"
"""Of the app, hence of its consumer group and the beginning of its topics."""
