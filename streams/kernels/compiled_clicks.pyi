from streams.kernels.pure_clicks import read_plain as read_plain
