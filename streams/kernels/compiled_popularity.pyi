from streams.kernels.pure_popularity import choose_popular as choose_popular
from streams.kernels.pure_popularity import largest_positive as largest_positive
from streams.kernels.pure_popularity import take as take
from streams.kernels.pure_popularity import weigh_items as weigh_items
