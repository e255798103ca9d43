from streams.kernels.pure_reasons import write_items as write_items
