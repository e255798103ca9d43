"""How cost, latency and memory grow with users, catalogue, partitions and window."""
