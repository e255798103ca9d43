from streams.kernels.pure import add_links as add_links
from streams.kernels.pure import count_visits as count_visits
from streams.kernels.pure import decay_terms as decay_terms
from streams.kernels.pure import keep_edges as keep_edges
from streams.kernels.pure import keep_strongest as keep_strongest
