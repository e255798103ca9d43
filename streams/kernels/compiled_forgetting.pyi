from streams.kernels.pure_forgetting import keep_edges as keep_edges
from streams.kernels.pure_forgetting import keep_strongest as keep_strongest
