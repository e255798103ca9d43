from streams.kernels.pure import add_run as add_run
from streams.kernels.pure import decay_terms as decay_terms
from streams.kernels.pure import keep_edges as keep_edges
from streams.kernels.pure import keep_strongest as keep_strongest
from streams.kernels.pure import link_clicks as link_clicks
