"""Forecasters: small networks that read the last values of a series and say how it goes on."""
