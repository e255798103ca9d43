from streams.kernels.pure_folds import decay_terms as decay_terms
from streams.kernels.pure_folds import fold_items as fold_items
