"""One job in the ways of several stream processors, for `freshrec bench peers`.

Every click is parsed and put into its user's window of 50, the window is kept in a store with a
changelog, and a list of the user's 10 last items goes out before the click's offset is committed.
Each is written as its own documentation would have it. freshrec does more in the same run: it
checks clicks, drops repeats, counts transitions and popularity, and ranks by the graph.
"""
