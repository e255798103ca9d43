"""What keeps a client out of brokers that answer. The messages say why and what to do."""


class AccessError(RuntimeError):
    """Brokers answer and do not let this client do its work; the message says what to do."""


class NotAdmittedError(AccessError):
    """Brokers refuse this client's credentials, or it does not trust their certificate."""


class NotPermittedError(AccessError):
    """Rights that this client lacks."""
