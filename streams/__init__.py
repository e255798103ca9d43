"""The streaming recommender: from clicks in Kafka to updated lists in Kafka."""
