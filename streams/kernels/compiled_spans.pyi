from streams.kernels.pure_spans import edge_spans as edge_spans
