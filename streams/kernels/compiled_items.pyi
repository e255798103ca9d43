from streams.kernels.pure_items import encode_edges as encode_edges
