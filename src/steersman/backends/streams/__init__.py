"""Buses on servers: Redis Streams (extra `redis`) and Kafka (extra `kafka`). Each module imports its own client."""
