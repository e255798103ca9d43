"""freshrec's streaming half: clicks in from Kafka, recommendation lists out to Kafka."""

__version__ = "0.1.0"
