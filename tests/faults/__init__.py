"""Failures of the service, the network and the caller."""
