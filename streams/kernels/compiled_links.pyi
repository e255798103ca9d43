from streams.kernels.pure_links import link_clicks as link_clicks
