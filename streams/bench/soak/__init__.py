"""`freshrec bench soak`: a worker with lists and encoder under load and bursts, for long."""
