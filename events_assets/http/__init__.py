"""Requests and answers: retries, rate limits, reading ahead, and secrets kept out of words."""
