from streams.kernels.pure_links import columns_fit as columns_fit
from streams.kernels.pure_links import link_clicks as link_clicks
from streams.kernels.pure_links import pack_columns as pack_columns
from streams.kernels.pure_links import unpack_columns as unpack_columns
