"""The copying test."""
