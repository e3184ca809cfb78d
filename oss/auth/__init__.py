"""Who is asking, and what they may do: passwords, browser sessions, API tokens, throttling."""
