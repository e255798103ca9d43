from streams.kernels.pure import keep_edges as keep_edges
from streams.kernels.pure import keep_strongest as keep_strongest
