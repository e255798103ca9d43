"""`freshrec bench faults`: what is left of the guarantee when everything around it breaks.

A cluster of three brokers, workers as processes behind a proxy, and a schedule of faults that a
seed decides. At the end an oracle replays the clicks offline and compares all that is in the
topics. One noun a module: clicks, schedule, proxy, cluster, crew, group, injector, figures, run.
"""
