from streams.kernels.pure_windows import fold_plain as fold_plain
