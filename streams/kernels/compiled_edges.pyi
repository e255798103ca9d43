from streams.kernels.pure_edges import join_edges as join_edges
from streams.kernels.pure_edges import read_edges as read_edges
