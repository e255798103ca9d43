from streams.kernels.pure_reasons import give_reasons as give_reasons
