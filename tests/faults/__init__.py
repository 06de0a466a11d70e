"""What happens when the service, the network or the caller breaks off."""
